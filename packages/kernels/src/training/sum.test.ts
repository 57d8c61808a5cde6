import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {deviation} from '@tfjs-peft/testing/compare';
import * as training from '../wasm-training.js';

beforeAll(async () => {
  await tf.setBackend('wasm');
});
afterAll(() => training.register());

test.each([
  [[3, 5], 0],
  [
    [2, 3, 9],
    [0, 1],
  ],
  [[2, 3, 9], 0],
  [[7, 1], 0],
  [[0, 4], 0],
  [[4, 0], 0],
  [
    [2, 3, 4],
    [0, 2],
  ],
  [
    [2, 3],
    [0, 1],
  ],
  [[2, 3], -1],
])('Sum of %p over %p is that of stock', (shape, axis) => {
  const x = tf.randomNormal(shape, 0, 1, 'float32', 3);
  const sums = () => [false, true].map((keep) => tf.sum(x, axis, keep));
  training.unregister();
  const want = sums();
  training.register();
  const got = sums();
  for (const [i, {shape}] of want.entries()) {
    expect(got[i]!.shape).toEqual(shape);
    expect(deviation(got[i]!.dataSync(), want[i]!.dataSync())).toBeLessThan(1e-6);
  }
});

test('integers, and whole sums, are left to stock', () => {
  training.register();
  expect(
    tf
      .sum(
        tf.tensor2d(
          [
            [1, 2],
            [3, 4],
          ],
          [2, 2],
          'int32',
        ),
        0,
      )
      .dataSync(),
  ).toEqual(Int32Array.of(4, 6));
  expect(
    tf
      .sum(
        tf.tensor2d([
          [1, 2],
          [3, 4],
        ]),
      )
      .dataSync()[0],
  ).toBe(10);
});
