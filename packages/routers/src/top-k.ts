import * as tf from '@tensorflow/tfjs-core';

/**
 * `p` [..., E] times the 0/1 mask of the k largest of its last axis; ties go to the lower index. The mask counts as a constant:
 * the gradient is the upstream one where an entry is kept, and 0 elsewhere.
 *
 * tfjs has no gradient for TopK and comparisons and would throw if they were on the tape; ops inside the forward function of a custom
 * gradient are not.
 */
export function keepTopK(p: tf.Tensor, k: number): tf.Tensor {
  return keepMasked(p, (input) => topKMask(input, k));
}

/** `p` times a 0/1 mask that is made of it and counts as a constant, so that comparisons, which have no gradient, may make it. */
export function keepMasked(p: tf.Tensor, makeMask: (p: tf.Tensor) => tf.Tensor): tf.Tensor {
  const masked = tf.customGrad((...args) => {
    const [input, save] = args as unknown as [tf.Tensor, tf.GradSaveFunc];
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
  // Compared, and summed over the last axis: asked for float32, the wasm backend's OneHot fills in the bits of integers, and a sum
  // over another axis takes integers on webgpu through a transpose whose shader is invalid.
  const chosen = tf.expandDims(tf.cast(indices, 'int32'), -2);
  const all = tf.reshape(tf.range(0, experts, 1, 'int32'), [experts, 1]);
  return tf.sum(tf.cast(tf.equal(chosen, all), 'float32'), -1);
}
