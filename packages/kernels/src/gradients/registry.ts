import * as tf from '@tensorflow/tfjs-core';

/** What every gradient from here carries, so that others can tell it from tfjs's own, whichever copy of this package registered it. */
const SUPPLIED = Symbol.for('tfjs-peft.gradient');

/** tfjs's own registerGradient prints a warning where a gradient is there already. */
export function replaceGradient(config: tf.GradConfig): void {
  Object.defineProperty(config.gradFunc, SUPPLIED, {value: true});
  if (tf.getGradient(config.kernelName) != null) tf.unregisterGradient(config.kernelName);
  tf.registerGradient(config);
}

/** Sums the gradient of a broadcast operand over the axes that were broadcast, which gives it the operand's own shape. */
export function unbroadcast(gradient: tf.Tensor, shape: number[]): tf.Tensor {
  const axes = tf.broadcast_util.getReductionAxes(shape, gradient.shape);
  return tf.reshape(axes.length > 0 ? tf.sum(gradient, axes) : gradient, shape);
}
