import * as tf from '@tensorflow/tfjs-core';
import {blendGates, ConfigError, ShapeError} from '../index.js';
import {TEST_BACKENDS, useBackend} from '../testing/backends.js';
import {BLEND_CASES, blendDeviation} from '../testing/blend-cases.js';

describe.each(TEST_BACKENDS)('blended gates on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each(BLEND_CASES)('and their gradients are right: %p', async (c) => {
    expect(await blendDeviation(c)).toBeLessThan(1e-5);
  });

  it('do not overflow where a sigmoid is far out', async () => {
    const token = tf.ones([2, 3]) as tf.Tensor2D;
    const [share, gate] = [tf.tensor1d([-50]), tf.tensor1d([50])];
    const gates = blendGates({token, share, gate, rows: 2, slope: 100, tokenFactor: 1, sampleFactor: 1});
    for (const value of await gates.data()) expect(value).toBeCloseTo(0, 10);
  });
});

test('what does not fit is refused', async () => {
  await useBackend('cpu');
  const attrs = {rows: 4, slope: 1, tokenFactor: 1, sampleFactor: 1};
  const scalars = {share: tf.zeros([1]), gate: tf.zeros([1])};
  const zeros = (rows: number, width: number) => tf.zeros([rows, width]) as tf.Tensor2D;
  expect(() => blendGates({...attrs, ...scalars})).toThrow(ConfigError);
  expect(() => blendGates({...attrs, ...scalars, token: zeros(3, 2)})).toThrow(ShapeError);
  expect(() => blendGates({...attrs, ...scalars, token: zeros(4, 2), sample: zeros(1, 3)})).toThrow(
    ShapeError,
  );
  expect(() => blendGates({...attrs, ...scalars, sample: zeros(3, 2)})).toThrow(/divide the 4 tokens/);
  expect(() => blendGates({...attrs, ...scalars, sample: zeros(1, 2), gate: tf.zeros([2])})).toThrow(
    ShapeError,
  );
});
