import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from '../errors.js';
import type {StreamGatesAttrs} from '../kernel-attrs.js';
import {definePeftGradient} from './gradients.js';
import {runPeftKernel} from './kernels.js';
import {ACTIVATION_RANKS, checkTensor} from './shapes.js';

/** Options of {@link streamGates}. */
export interface StreamGatesOptions {
  /** Factor of each stream's normalised values. */
  weights: [number, number];
  /**
   * Keep the experts with at least this fraction of the largest probability, from 0 (all) to 1 (only the
   * largest). Null: no selection.
   */
  theta: number | null;
  /** Smallest divisor of a stream; above 0. */
  floor: number;
}

/**
 * LiME's router of two streams (Kowsher et al., arXiv 2604.02338, section 3), in one kernel, and one for
 * its gradient:
 *
 *     p = softmax(weights[0] a / max|a| + weights[1] b / max|b|)
 *
 * with the largest magnitude of each row (or `floor`), and Auto Top-K: the gates are what of p is at least
 * theta times the row's largest, scaled to sum to 1. The gradient goes through the maxima; the selection
 * counts as a constant.
 *
 * @param a [..., E], float32.
 * @param b The same shape.
 * @returns `probabilities` [..., E], and `gates` of the same shape, which are the probabilities if theta is
 * null.
 * @throws ShapeError if the shapes differ or a dtype is not float32; ConfigError if theta or floor is out
 * of range.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {streamGates} from '@tfjs-peft/kernels';
 *
 * const [a, b] = [tf.ones([2, 4]), tf.ones([2, 4])];
 * const {gates} = streamGates(a, b, {weights: [0.6, 1.4], theta: 0.7, floor: 1e-6});
 * ```
 */
export function streamGates(
  a: tf.Tensor,
  b: tf.Tensor,
  {weights: [weightA, weightB], theta, floor}: StreamGatesOptions,
): {probabilities: tf.Tensor; gates: tf.Tensor} {
  checkTensor('streamGates', 'a', a, ACTIVATION_RANKS);
  checkTensor('streamGates', 'b', b, ACTIVATION_RANKS);
  if (!tf.util.arraysEqual(a.shape, b.shape))
    throw new ShapeError(`streamGates: b has shape [${b.shape}], but must have that of a, [${a.shape}].`);
  if (theta !== null && !(theta >= 0 && theta <= 1))
    throw new ConfigError(`streamGates: theta is ${theta}, but must be from 0 to 1, or null.`);
  if (!(floor > 0)) throw new ConfigError(`streamGates: floor is ${floor}, but must be above 0.`);
  const attrs: StreamGatesAttrs = {weightA, weightB, theta, floor};
  return tf.tidy(() => {
    const leading = a.shape.slice(0, -1);
    const [probabilities, gates] = runPeftKernel('PeftStreamGates', {a, b}, attrs, {leading});
    return {probabilities: probabilities!, gates: gates ?? probabilities!};
  });
}

definePeftGradient(
  'PeftStreamGates',
  {inputs: ['a', 'b'], outputs: [true, true]},
  ({dys: [dp, dGates], inputs: {a, b}, outputs: [p, gates], attrs, leading, shared}) => {
    const {weightA, weightB, theta, floor} = attrs;
    const inputs = {dp: dp!, a, b, p: p!, ...(gates && {dGates, gates})};
    const [da, db] = shared.make(() =>
      runPeftKernel('PeftStreamGatesGrad', inputs, {weightA, weightB, theta, floor}, {leading}),
    );
    return {a: () => shared.take(da!), b: () => shared.take(db!)};
  },
);
