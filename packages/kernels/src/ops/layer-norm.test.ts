import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, layerNorm, ShapeError} from '../index.js';
import {TEST_BACKENDS, useBackend} from '../testing/backends.js';
import {LAYER_NORM_CASES, layerNormDeviation} from '../testing/layer-norm-cases.js';

describe.each(TEST_BACKENDS)('layerNorm on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each(LAYER_NORM_CASES)('and its gradients are right: %p', async (c) => {
    expect(await layerNormDeviation(c)).toBeLessThan(2e-5);
  });

  it('is one kernel, and one for the gradient of x', async () => {
    const [x, gamma, beta] = [tf.ones([2, 4]), tf.ones([4]), tf.zeros([4])] as const;
    const {kernelNames} = await tf.profile(() =>
      tf.grad((input) => layerNorm(input, gamma as tf.Tensor1D, beta as tf.Tensor1D))(x),
    );
    const ours = kernelNames.filter((name) => name.startsWith('PeftLayer'));
    expect(ours.sort()).toEqual(['PeftLayerNorm', 'PeftLayerNormGrad']);
    expect(kernelNames).not.toContain('PeftMatMul');
  });
});

test('what does not fit is refused', async () => {
  await useBackend('cpu');
  expect(() => layerNorm(tf.zeros([2, 3]), tf.zeros([4]))).toThrow(ShapeError);
  expect(() => layerNorm(tf.zeros([2, 3], 'int32'))).toThrow(/x is int32/);
  expect(() => layerNorm(tf.zeros([2, 3]), undefined, undefined, -1)).toThrow(ConfigError);
});
