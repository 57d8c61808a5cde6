import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '../errors.js';
import {definePeftGradient} from './gradients.js';
import {runPeftKernel} from './kernels.js';
import {columnSum} from './matmul.js';
import {ACTIVATION_RANKS, checkSize, checkTensor, flatten} from './shapes.js';

/**
 * Layer normalization over the last axis, gamma ∘ (x - mean) / sqrt(variance + epsilon) + beta (Ba, Kiros &
 * Hinton 2016, arXiv:1607.06450, equation 4), in one kernel, and one for the gradient of x. Only x is kept
 * for the gradient. No gradient is computed for a gamma or beta that nobody asks for.
 *
 * @param x [..., d], float32.
 * @param gamma [d], float32, or undefined for ones.
 * @param beta [d], float32, or undefined for zeros.
 * @param epsilon Added to the variance; at least 0. Default 1e-3, as in Keras.
 * @returns x's shape.
 * @throws ShapeError if a rank, dtype or size does not fit; ConfigError if epsilon is negative or no number.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {layerNorm} from '@tfjs-peft/kernels';
 *
 * const y = layerNorm(tf.tensor2d([[1, 2, 3]]), tf.ones([3]), tf.zeros([3]));
 * ```
 */
export function layerNorm(x: tf.Tensor, gamma?: tf.Tensor1D, beta?: tf.Tensor1D, epsilon = 1e-3): tf.Tensor {
  checkTensor('layerNorm', 'x', x, ACTIVATION_RANKS);
  const width = x.shape[x.rank - 1]!;
  for (const [name, vector] of Object.entries({gamma, beta})) {
    if (vector === undefined) continue;
    checkTensor('layerNorm', name, vector, [1]);
    checkSize('layerNorm', `the size of ${name}`, vector.shape[0]!, width, `x [${x.shape}]`);
  }
  if (!(epsilon >= 0) || epsilon === Number.POSITIVE_INFINITY)
    throw new ConfigError(
      `layerNorm: epsilon is ${epsilon}, but must be a number of at least 0. Set it to one, such as 1e-3.`,
    );
  return tf.tidy(() =>
    runPeftKernel('PeftLayerNorm', {x, gamma, beta}, {epsilon}, {leading: x.shape.slice(0, -1)}),
  );
}

definePeftGradient('PeftLayerNorm', {}, ({dy, inputs: {x, gamma}, attrs: {epsilon}, leading}) => ({
  x: () => runPeftKernel('PeftLayerNormGrad', {dy, x, gamma}, {epsilon}, {leading}),
  gamma: () => columnSum(flatten(dy), flatten(runPeftKernel('PeftLayerNorm', {x}, {epsilon}, {leading}))),
  beta: () => columnSum(flatten(dy)),
}));
