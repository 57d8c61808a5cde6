import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {register, unregister} from '../wasm-training.js';

beforeEach(async () => {
  register();
  await tf.setBackend('wasm');
});
afterAll(unregister);

const VALUES = [
  Number.NaN,
  -5,
  0.5,
  7,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  -0.25,
  Number.NEGATIVE_INFINITY,
  2,
];

test('clipping keeps NaN and clips the rest', () => {
  const y = tf.clipByValue(tf.tensor1d(VALUES), -1, 3);
  expect([...y.dataSync()]).toEqual([Number.NaN, -1, 0.5, 3, Number.NaN, 3, -0.25, -1, 2]);
});

test('integers are clipped as integers', () => {
  const y = tf.clipByValue(tf.tensor1d([-5, 0, 9], 'int32'), -1, 3);
  expect([y.dtype, ...y.dataSync()]).toEqual(['int32', -1, 0, 3]);
});
