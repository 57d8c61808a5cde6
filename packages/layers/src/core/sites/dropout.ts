import * as tf from '@tensorflow/tfjs-core';
import {type RouterContext, uniformNoise} from '@tfjs-peft/routers';

/** Dropout of one call of a site. */
export interface Dropout {
  /** x with entries that are 0 and others that are larger, always the same ones for one shape. */
  drop(x: tf.Tensor): tf.Tensor;
  /**
   * A function of the dropped input. It is linear, so at a lookup, whose input are row numbers, what it gives
   * for a token is dropped as a whole.
   */
  through(f: (x: tf.Tensor) => tf.Tensor, x: tf.Tensor): tf.Tensor;
}

/** What is done where nothing is dropped. */
export const NO_DROPOUT: Dropout = {drop: (x) => x, through: (f, x) => f(x)};

/**
 * Dropout with a probability: what is kept is divided by 1 - rate, so that the mean stays (Srivastava et al.
 * 2014, inverted as in Keras and PyTorch).
 *
 * @param context Gives the uniform numbers, by its `noise`.
 */
export function dropoutOf(
  label: () => string,
  rate: number,
  {lookup, context}: {lookup: boolean; context: RouterContext | undefined},
): Dropout {
  const masks = new Map<string, tf.Tensor>();
  const times = (x: tf.Tensor, shape: number[]): tf.Tensor => {
    const key = shape.join();
    if (!masks.has(key)) {
      const kept = tf.greaterEqual(uniformNoise(`${label()}: dropout`, context, shape), rate);
      masks.set(key, tf.div(tf.cast(kept, 'float32'), 1 - rate));
    }
    return tf.mul(x, masks.get(key)!);
  };
  const drop = (x: tf.Tensor) => times(x, x.shape);
  return {
    drop,
    through: (f, x) => (lookup ? times(f(x), [...x.shape, 1]) : f(drop(x))),
  };
}
