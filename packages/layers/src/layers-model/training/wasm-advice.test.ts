import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import {NoGradientError} from '@tfjs-peft/kernels';
import {upgrade} from '../../index.js';

test('a kernel that wasm lacks for the gradient of a layer behind a site says what to import', async () => {
  await tf.setBackend('wasm');
  const model = tf.sequential({
    layers: [
      tf.layers.conv2d({inputShape: [6, 6, 2], filters: 3, kernelSize: 1, name: 'site'}),
      tf.layers.conv2d({filters: 2, kernelSize: 3, name: 'after'}),
      tf.layers.flatten(),
      tf.layers.dense({units: 1}),
    ],
  });
  await upgrade(model, {targets: ['site'], adapter: {type: 'lora', rank: 1}, seed: 1});
  model.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
  const fit = model.fit(tf.ones([2, 6, 6, 2]), tf.ones([2, 1]), {verbose: 0});
  await expect(fit).rejects.toThrow(NoGradientError);
  await expect(fit).rejects.toThrow(
    /'after' \(Conv2D\).*Conv2DBackpropFilter.*Import '@tfjs-peft\/kernels\/wasm-training'/s,
  );
});
