import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/gradients';
import * as tf from '@tensorflow/tfjs-core';
import {NoGradientError} from '@tfjs-peft/kernels';
import {trainer, upgrade} from '../../graph.js';
import {IMAGE, WHOLE_GRAPHS} from '../testing/whole-graphs.js';

test('where wasm lacks the kernel of a trained convolution, training says what to import', async () => {
  await tf.setBackend('wasm');
  const model = await WHOLE_GRAPHS['super-resolution']!().load();
  await upgrade(model, {adapter: {type: 'lora', rank: 2}, targets: [{op: '_FusedConv2D'}], seed: 1});
  const training = trainer(model, {loss: 'meanSquaredError', optimizer: tf.train.sgd(0.1)});
  const xs = tf.ones([2, ...IMAGE]);
  const ys = (await training.predict(xs)) as tf.Tensor;
  const error = await training.fit({xs, ys}, {verbose: 0}).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(NoGradientError);
  expect((error as Error).message).toContain(
    'no Conv2DBackpropFilter, which a gradient needs. ' +
      "Import '@tfjs-peft/kernels/wasm-training' before training.",
  );
});
