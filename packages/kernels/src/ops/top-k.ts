import type * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '../errors.js';
import {definePeftGradient} from './gradients.js';
import {runPeftKernel} from './kernels.js';
import {ACTIVATION_RANKS, checkTensor} from './shapes.js';

/**
 * Keeps the k largest entries of each row and sets the others to 0, in one kernel, and one for the gradient.
 * Of equal entries the one with the lower index counts as larger. Which ones are kept is a constant of the
 * gradient: it is 0 for the others.
 *
 * @param p [..., E], float32, such as a router's probabilities.
 * @param k How many are kept, from 1 to E.
 * @param renormalize Divide what is kept by its sum, so that each row sums to 1. Default false.
 * @returns p's shape.
 * @throws ShapeError if p is not float32 or has no rank from 2 to 6; ConfigError if k is not from 1 to E.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {topKGates} from '@tfjs-peft/kernels';
 *
 * const gates = topKGates(tf.tensor2d([[0.2, 0.5, 0.3]]), 2); // [[0, 0.5, 0.3]]
 * ```
 */
export function topKGates(p: tf.Tensor, k: number, renormalize = false): tf.Tensor {
  checkTensor('topKGates', 'p', p, ACTIVATION_RANKS);
  const width = p.shape[p.rank - 1]!;
  if (!Number.isInteger(k) || k < 1 || k > width) {
    throw new ConfigError(
      `topKGates: k is ${k}, but p [${p.shape}] has ${width} entries a row. Set k from 1 to ${width}.`,
    );
  }
  return runPeftKernel('PeftTopK', {p}, {k, renormalize}, {leading: p.shape.slice(0, -1)});
}

definePeftGradient('PeftTopK', {inputs: ['p']}, ({dy, inputs: {p}, attrs: {k, renormalize}, leading}) => ({
  p: () => runPeftKernel('PeftTopKGrad', {dy, p}, {k, renormalize}, {leading}),
}));
