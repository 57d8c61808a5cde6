import * as tf from '@tensorflow/tfjs-core';
import {topKGates} from '@tfjs-peft/kernels';

/**
 * Keeps the k largest entries of the last axis of `p` [..., E] and sets the others to 0; ties go to the lower
 * index. The mask is a constant of the gradient: it passes through kept entries and is 0 elsewhere.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {keepTopK} from '@tfjs-peft/routers';
 *
 * const gates = keepTopK(tf.tensor2d([[0.2, 0.5, 0.3]]), 2); // [[0, 0.5, 0.3]]
 * ```
 */
export function keepTopK(p: tf.Tensor, k: number): tf.Tensor {
  return topKGates(p, k);
}

/**
 * `p` times a 0/1 mask computed from it. The mask is a constant of the gradient, so comparisons may compute
 * it: tfjs has no gradient of them and would throw if they were on the tape, but what runs in the forward
 * function of a custom gradient is off the tape.
 */
export function keepMasked(p: tf.Tensor, makeMask: (p: tf.Tensor) => tf.Tensor): tf.Tensor {
  const masked = tf.customGrad((...args) => {
    const [input, save] = args as [tf.Tensor, tf.GradSaveFunc];
    const mask = makeMask(input);
    save([mask]);
    return {
      value: tf.mul(input, mask),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(dy, saved[0]!),
    };
  });
  return masked(p);
}

/** The 0/1 mask of the k largest of the last axis, float32; ties go to the lower index. */
export function topKMask(p: tf.Tensor, k: number): tf.Tensor {
  const experts = p.shape[p.rank - 1]!;
  const {indices} = tf.topk(p, k, true);
  // Compared, and summed over the last axis: asked for float32, the wasm backend's OneHot fills in the bits
  // of integers, and a sum over another axis takes integers on webgpu through a transpose whose shader is
  // invalid.
  const chosen = tf.expandDims(tf.cast(indices, 'int32'), -2);
  const all = tf.reshape(tf.range(0, experts, 1, 'int32'), [experts, 1]);
  return tf.sum(tf.cast(tf.equal(chosen, all), 'float32'), -1);
}
