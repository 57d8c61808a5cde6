import * as tf from '@tensorflow/tfjs-core';
import {LAYER_NORM, LAYER_NORM_GRAD, type PeftKernel} from '../../kernel-registry.js';

/** The normalized rows, and what their deviations were multiplied by. */
function normalized(x: tf.Tensor2D, epsilon: number): {rows: tf.Tensor2D; factor: tf.Tensor} {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const factor = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon));
  return {rows: tf.mul(centred, factor), factor};
}

export const composedNormalize: Record<string, PeftKernel> = {
  [LAYER_NORM]: ({inputs, attrs}) =>
    tf.tidy(() => {
      const {x, gamma, beta} = inputs as unknown as Record<string, tf.Tensor2D | undefined>;
      let y: tf.Tensor = normalized(x!, attrs.epsilon as number).rows;
      if (gamma !== undefined) y = tf.mul(y, gamma);
      return beta === undefined ? y : tf.add(y, beta);
    }),
  [LAYER_NORM_GRAD]: ({inputs, attrs}) =>
    tf.tidy(() => {
      const {dy, x, gamma} = inputs as unknown as Record<string, tf.Tensor2D | undefined>;
      const {rows, factor} = normalized(x!, attrs.epsilon as number);
      const d = gamma === undefined ? dy! : tf.mul(dy!, gamma);
      const along = tf.mean(tf.mul(d, rows), -1, true);
      const rest = tf.sub(tf.sub(d, tf.mean(d, -1, true)), tf.mul(rows, along));
      return tf.mul(rest, factor);
    }),
};
