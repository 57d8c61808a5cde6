import * as tf from '@tensorflow/tfjs-core';
import type {ComposedKernel} from '../../kernel-map.js';

/** 1 for the k largest of each row, else 0. */
function maskOf(p: tf.Tensor2D, k: number): tf.Tensor {
  const [, width] = p.shape;
  const {indices} = tf.topk(p, k, true);
  // Compared, and summed over the last axis: asked for float32, the wasm backend's OneHot fills in the bits
  // of integers, and a sum over another axis takes integers on webgpu through a transpose whose shader is
  // invalid.
  const chosen = tf.expandDims(tf.cast(indices, 'int32'), -2);
  const all = tf.reshape(tf.range(0, width, 1, 'int32'), [width, 1]);
  return tf.sum(tf.cast(tf.equal(chosen, all), 'float32'), -1);
}

const total = (t: tf.Tensor): tf.Tensor => tf.sum(t, -1, true);

/** See `topKGates` in ops/top-k.ts. */
export const PeftTopK: ComposedKernel<'PeftTopK'> = ({inputs: {p}, attrs: {k, renormalize}}) =>
  tf.tidy(() => {
    const kept = tf.mul(p, maskOf(p, k));
    return renormalize ? tf.div(kept, total(kept)) : kept;
  });

export const PeftTopKGrad: ComposedKernel<'PeftTopKGrad'> = ({inputs: {dy, p}, attrs: {k, renormalize}}) =>
  tf.tidy(() => {
    const mask = maskOf(p, k);
    if (!renormalize) return tf.mul(dy, mask);
    const kept = tf.mul(p, mask);
    const sum = total(kept);
    return tf.mul(tf.div(mask, sum), tf.sub(dy, tf.div(total(tf.mul(dy, kept)), sum)));
  });
