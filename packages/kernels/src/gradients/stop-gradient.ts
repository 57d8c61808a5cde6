import * as tf from '@tensorflow/tfjs-core';

/**
 * `x`, through which no gradient flows: tfjs has no such op (tf.keras' and JAX's stop_gradient).
 *
 * @param x any float32 tensor.
 * @returns a tensor with the same values and shape; its gradient with respect to `x` is zero.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {stopGradient} from '@tfjs-peft/kernels/gradients';
 *
 * const slope = tf.grad((x) => tf.mul(x, stopGradient(x)))(tf.scalar(3)); // 3, not 6
 * ```
 */
export function stopGradient<T extends tf.Tensor>(x: T): T {
  return tf.customGrad((t) => ({value: tf.clone(t as T), gradFunc: () => tf.zerosLike(t as T)}))(x) as T;
}
