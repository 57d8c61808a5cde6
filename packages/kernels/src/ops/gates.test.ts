import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError, softmaxGates, streamGates} from '../index.js';
import {TEST_BACKENDS, useBackend} from '../testing/backends.js';
import {GATES_CASES, gatesDeviation, STREAM_CASES, streamGatesDeviation} from '../testing/gates-cases.js';

describe.each(TEST_BACKENDS)('gates on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each(GATES_CASES)('of a linear router, and their gradients: %p', async (c) => {
    expect(await gatesDeviation(c)).toBeLessThan(1e-5);
  });

  it.each(STREAM_CASES)('of two streams, and their gradients: %p', async (c) => {
    expect(await streamGatesDeviation(c)).toBeLessThan(2e-5);
  });

  it('do not overflow at large logits', async () => {
    const gates = softmaxGates(tf.tensor2d([[1000, -1000, 999]]), tf.eye(3));
    const [first, second] = await gates.data();
    expect(first).toBeCloseTo(1 / (1 + Math.exp(-1)), 5);
    expect(second).toBeCloseTo(0, 10);
  });
});

test('what does not fit is refused', async () => {
  await useBackend('cpu');
  expect(() => softmaxGates(tf.zeros([2, 3]), tf.zeros([4, 2]))).toThrow(ShapeError);
  expect(() => softmaxGates(tf.zeros([2, 3]), tf.zeros([3, 2]), 0)).toThrow(ConfigError);
  const options = {weights: [1, 1] as [number, number], theta: 0.5, floor: 1e-6};
  expect(() => streamGates(tf.zeros([2, 3]), tf.zeros([2, 4]), options)).toThrow(ShapeError);
  expect(() => streamGates(tf.zeros([2, 3]), tf.zeros([2, 3]), {...options, theta: 2})).toThrow(ConfigError);
});
