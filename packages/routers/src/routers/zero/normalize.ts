import * as tf from '@tensorflow/tfjs-core';

/** What a stream is divided by: the largest magnitude of each token, or one of the whole batch. */
export type Normalizer = 'token' | 'batch';

export const NORMALIZERS = ['token', 'batch'] as const satisfies Normalizer[];

/** The least that a stream is divided by, so that a stream of zeros stays zero. */
export const NORM_FLOOR = 1e-6;

/**
 * `stream` [..., E] over its largest magnitude, per token or over the whole batch. The gradient passes
 * through the maximum. It is one op on the tape instead of seven: rows are short, so the number of ops
 * decides the time of a step.
 */
export function normalizeStream(stream: tf.Tensor, normalizer: Normalizer): tf.Tensor {
  const normalize = tf.customGrad((...args) => {
    const [input, save] = args as [tf.Tensor, tf.GradSaveFunc];
    const size = tf.abs(input);
    const largest = largestOf(size, normalizer);
    const divisor = tf.maximum(largest, NORM_FLOOR);
    const value = tf.div(input, divisor);
    save([input, value, divisor]);
    return {
      value,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [x, y, m] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
        // If the divisor is the floor, no entry equals it; if it is the maximum, y there is the maximum's
        // sign.
        const atMaximum = tf.mul(y, tf.cast(tf.equal(tf.abs(x), m), 'float32'));
        const along = tf.mul(dy, y);
        const total = normalizer === 'token' ? tf.sum(along, -1, true) : tf.sum(along);
        return tf.div(tf.sub(dy, tf.mul(atMaximum, total)), m);
      },
    };
  });
  return normalize(stream);
}

/**
 * `stream` with no gradient where its largest magnitude is at the floor: there the gradient of {@link
 * normalizeStream} is 1 / floor, and a LoRA factor that starts at zero would be thrown a million times too
 * far by the first auxiliary loss.
 */
export function calmStream(stream: tf.Tensor, normalizer: Normalizer): tf.Tensor {
  const calm = tf.customGrad((...args) => {
    const [input, save] = args as [tf.Tensor, tf.GradSaveFunc];
    save([tf.cast(tf.greater(magnitudeOf(input, normalizer), NORM_FLOOR), 'float32')]);
    return {
      value: tf.clone(input),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(dy, saved[0]!),
    };
  });
  return calm(stream);
}

function magnitudeOf(stream: tf.Tensor, normalizer: Normalizer): tf.Tensor {
  return largestOf(tf.abs(stream), normalizer);
}

function largestOf(size: tf.Tensor, normalizer: Normalizer): tf.Tensor {
  return normalizer === 'token' ? tf.max(size, -1, true) : tf.max(size);
}
