import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from '../errors.js';
import {STREAM_GATES, STREAM_GATES_GRAD} from '../kernel-registry.js';
import {runPeftKernel} from './kernels.js';
import {ACTIVATION_RANKS, checkTensor, leadingAttr} from './shapes.js';

/** Options of {@link streamGates}. */
export interface StreamGatesOptions {
  /** What each stream's normalized values are multiplied by. */
  weights: [number, number];
  /** Keep what has at least so much of the largest probability, from 0 (all) to 1 (the largest alone); null: give no gates. */
  theta: number | null;
  /** The least that a stream is divided by; above 0. */
  floor: number;
}

/** The attributes of the stream gates kernels, whose inputs are streams a and b [n, E], and whose outputs are p and, with theta, gates. */
export interface StreamGatesAttrs {
  weightA: number;
  weightB: number;
  theta: number | null;
  floor: number;
}

/**
 * What LiME's router makes of two streams (Kowsher et al., arXiv 2604.02338, section 3), in one kernel, and one for its gradient:
 *
 *     p = softmax(weights[0] a / max|a| + weights[1] b / max|b|)
 *
 * with the largest magnitude of each row (or `floor`), and Auto Top-K: the gates are what of p is at least theta times the row's largest,
 * scaled to sum to 1. The gradient goes through the maxima; the selection counts as a constant.
 *
 * @param a [..., E], float32.
 * @param b The same shape.
 * @returns `probabilities` [..., E], and `gates` of the same shape, which are the probabilities if theta is null.
 * @throws ShapeError if the shapes differ or a dtype is not float32; ConfigError if theta or floor is out of range.
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
    const inputs = {a, b};
    const axes = leadingAttr(a.shape.slice(0, -1), inputs);
    const [probabilities, gates] = runPeftKernel<tf.Tensor[]>(STREAM_GATES, inputs, {...attrs, ...axes});
    return {probabilities: probabilities!, gates: gates ?? probabilities!};
  });
}

tf.registerGradient({
  kernelName: STREAM_GATES,
  inputsToSave: ['a', 'b'],
  outputsToSave: [true, true],
  gradFunc: (dys, saved, attrs) => {
    const [a, b, p, gates] = saved as tf.Tensor[];
    // tfjs unwraps the list where there is only one output.
    const [dp, dGates] = (Array.isArray(dys) ? dys : [dys]) as tf.Tensor[];
    const inputs = {dp: dp!, a: a!, b: b!, p: p!, ...(gates && {dGates: dGates!, gates})};
    const both = runPeftKernel<tf.Tensor[]>(STREAM_GATES_GRAD, inputs, attrs as Record<string, unknown>);
    return {a: () => both[0]!, b: () => both[1]!};
  },
});
