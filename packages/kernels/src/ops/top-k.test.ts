import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError, topKGates} from '../index.js';
import {TEST_BACKENDS, useBackend} from '../testing/backends.js';
import {TOP_K_CASES, topKDeviation} from '../testing/top-k-cases.js';

describe.each(TEST_BACKENDS)('top-k gates on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each(TOP_K_CASES)('and their gradient are right: %p', async (c) => {
    expect(await topKDeviation(c)).toBeLessThan(1e-6);
  });

  it('keep the lower index of entries that are equal', async () => {
    const p = tf.tensor2d([
      [1, 2, 2, 2],
      [3, 3, 3, 3],
      [0, 0, 0, 1],
    ]);
    expect([...(await topKGates(p, 2).data())]).toEqual([0, 2, 2, 0, 3, 3, 0, 0, 0, 0, 0, 1]);
    const gradient = tf.grad((t) => tf.sum(topKGates(t, 2)))(p);
    expect([...(await gradient.data())]).toEqual([0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 1]);
  });

  it('are one kernel, and one for the gradient', async () => {
    if (backend === 'composed') return;
    const p = tf.ones([3, 5]);
    const {kernels} = await tf.profile(() => tf.grad((t) => topKGates(t, 2, true))(p));
    expect(kernels.map(({name}) => name).filter((name) => name.startsWith('PeftTopK'))).toEqual([
      'PeftTopK',
      'PeftTopKGrad',
    ]);
  });
});

test('what does not fit is refused', async () => {
  await useBackend('cpu');
  const p = tf.zeros([2, 3]);
  for (const k of [0, 4, 1.5]) expect(() => topKGates(p, k)).toThrow(ConfigError);
  expect(() => topKGates(p, 4)).toThrow('k is 4, but p [2,3] has 3 entries a row. Set k from 1 to 3.');
  expect(() => topKGates(tf.zeros([3]), 1)).toThrow(ShapeError);
  expect(() => topKGates(tf.zeros([2, 3], 'int32'), 1)).toThrow(ShapeError);
});
