import * as tf from '@tensorflow/tfjs-core';
import type {ComposedKernel} from '../../kernel-map.js';

/** The normalized rows, and what their deviations were multiplied by. */
function normalized(x: tf.Tensor2D, epsilon: number): {rows: tf.Tensor2D; factor: tf.Tensor} {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const factor = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon));
  return {rows: tf.mul(centred, factor), factor};
}

export const PeftLayerNorm: ComposedKernel<'PeftLayerNorm'> = ({
  inputs: {x, gamma, beta},
  attrs: {epsilon},
}) =>
  tf.tidy(() => {
    let y: tf.Tensor = normalized(x, epsilon).rows;
    if (gamma !== undefined) y = tf.mul(y, gamma);
    return beta === undefined ? y : tf.add(y, beta);
  });

export const PeftLayerNormGrad: ComposedKernel<'PeftLayerNormGrad'> = ({
  inputs: {dy, x, gamma},
  attrs: {epsilon},
}) =>
  tf.tidy(() => {
    const {rows, factor} = normalized(x, epsilon);
    const d = gamma === undefined ? dy : tf.mul(dy, gamma);
    const along = tf.mean(tf.mul(d, rows), -1, true);
    const rest = tf.sub(tf.sub(d, tf.mean(d, -1, true)), tf.mul(rows, along));
    return tf.mul(rest, factor);
  });
