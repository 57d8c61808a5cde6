import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/wasm';
import '@tfjs-peft/kernels/wasm-training';
import {loadPeft, upgrade} from '@tfjs-peft/layers';

await tf.setBackend('wasm');

// Your own model comes from tf.loadLayersModel(url). This small one stands in for it.
const pretrained = () => {
  const kernelInitializer = tf.initializers.glorotNormal({seed: 1});
  return tf.sequential({
    layers: [
      tf.layers.dense({name: 'hidden', units: 32, activation: 'relu', inputShape: [16], kernelInitializer}),
      tf.layers.dense({name: 'head', units: 4, activation: 'softmax', kernelInitializer}),
    ],
  });
};
const model = pretrained();

// Four LoRA experts and a router beside each of the two layers. All other weights are frozen.
const peft = await upgrade(model, {
  targets: ['hidden', 'head'],
  adapter: {type: 'molora', experts: 4, rank: 2},
  seed: 1,
});
console.log(String(peft.report())); // which layers carry an adapter, and how many parameters are trained

// Train with the API that the model always had.
const x = tf.randomNormal([64, 16], 0, 1, 'float32', 1);
const labels = tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [64, 4]), 1), 4);
model.compile({optimizer: tf.train.adam(0.01), loss: 'categoricalCrossentropy'});
const {history} = await model.fit(x, labels, {epochs: 10, verbose: 0});
console.log('loss by epoch:', history.loss);

// Save the adapter alone, and load it into a fresh copy of the base model.
await peft.save('out/adapter');
const copy = pretrained();
await loadPeft(copy, 'out/adapter');
console.log('same outputs:', String(copy.predict(x)) === String(model.predict(x)));

peft.disable(); // the base model's own outputs, bit for bit
peft.enable();
peft.detach(); // the base model's own layers and tensors
