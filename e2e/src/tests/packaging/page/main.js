// The program of a page as a user of the packages writes it; pages.test.ts
// builds it with the users' bundlers.
import * as tf from '@tensorflow/tfjs';
import {setWasmPaths} from '@tensorflow/tfjs-backend-wasm';
import '@tensorflow/tfjs-backend-webgpu';
import '@tfjs-peft/kernels/auto';
import {loadPeft, upgrade} from '@tfjs-peft/layers';

setWasmPaths('./');

const net = () => {
  const kernelInitializer = tf.initializers.randomNormal({stddev: 0.5, seed: 1});
  return tf.sequential({
    layers: [
      tf.layers.dense({units: 4, name: 'hidden', inputShape: [4], activation: 'relu', kernelInitializer}),
      tf.layers.dense({units: 4, name: 'head', kernelInitializer}),
    ],
  });
};

/**
 * Upgrades a small model on a backend, trains it, saves the adapter in the browser, and loads
 * it into a fresh copy of the model.
 */
window.live = async (backend) => {
  await tf.setBackend(backend);
  await tf.ready();
  const model = net();
  const peft = await upgrade(model, {
    adapter: {type: 'lora', rank: 2, alpha: 16},
    targets: ['head'],
    seed: 2,
  });
  model.compile({optimizer: 'adam', loss: 'meanSquaredError'});
  const wave = (phase) =>
    tf.tensor(
      Array.from({length: 24}, (_, i) => Math.sin(1.3 * i + phase)),
      [6, 4],
    );
  const x = wave(0);
  const before = await model.predict(x).data();
  const {history} = await model.fit(x, wave(2), {epochs: 3, batchSize: 6, verbose: 0});
  const after = await model.predict(x).data();
  await peft.save(`indexeddb://${backend}`);
  const fresh = net();
  await loadPeft(fresh, `indexeddb://${backend}`);
  const loaded = await fresh.predict(x).data();
  return {
    backend: tf.getBackend(),
    losses: history.loss,
    before: Array.from(before),
    after: Array.from(after),
    loaded: Array.from(loaded),
  };
};
