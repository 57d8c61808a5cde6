import * as tf from '@tensorflow/tfjs-core';
import {ShapeError} from '@tfjs-peft/kernels';

/**
 * Activations as tokens: [B, d] is one token of each sample; the axes of [B, ..., d] between the first and
 * the last are tokens, such as the places of a feature map.
 *
 * @returns [B, T, d].
 */
export function asTokens(activations: tf.Tensor): tf.Tensor3D {
  if (activations.rank === 3) return activations as tf.Tensor3D;
  const {shape} = activations;
  if (activations.rank < 2)
    throw new ShapeError(`A tap gives [${shape}], but needs a batch axis and channels, [B, ..., d].`);
  const tokens = tf.util.sizeFromShape(shape.slice(1, -1));
  return tf.reshape(activations, [shape[0]!, tokens, shape.at(-1)!]);
}

/** The mean of the tokens that are not masked, [B, d]; 0 where all are. */
export function maskedMean(tokens: tf.Tensor3D, mask: tf.Tensor2D | undefined): tf.Tensor2D {
  return tf.tidy(() => {
    if (mask === undefined) return tf.mean(tokens, 1);
    const counts = tf.maximum(tf.sum(mask, 1, true), 1);
    return tf.div(tf.sum(tf.mul(tokens, tf.expandDims(mask, 2)), 1), counts);
  });
}

/** The first token of each sample, [B, d]. */
export function firstToken(tokens: tf.Tensor3D): tf.Tensor2D {
  const [batch, count, width] = tokens.shape;
  // A reshape shares the values of what it is made from.
  if (count === 1) return tf.reshape(tokens, [batch, width]);
  return tf.reshape(tf.slice(tokens, [0, 0, 0], [batch, 1, width]), [batch, width]);
}

/**
 * What says which tokens are real, as numbers: 1 where it is not 0.
 *
 * @param like Shape of the activations whose tokens it speaks of.
 * @returns [B, T], float32.
 */
export function readMask(mask: tf.Tensor, like: readonly number[]): tf.Tensor2D {
  const batch = like[0]!;
  const tokens = tf.util.sizeFromShape(like.slice(1, -1));
  if (mask.size !== batch * tokens) {
    throw new ShapeError(
      `side network: mask gives [${mask.shape}], but the last tap has ${tokens} tokens for each of ${batch} ` +
        'samples. Set mask to what has one value for each.',
    );
  }
  return tf.tidy(() => {
    const numbers = tf.reshape(tf.cast(mask, 'float32'), [batch, tokens]);
    return tf.cast(tf.notEqual(numbers, 0), 'float32');
  });
}
