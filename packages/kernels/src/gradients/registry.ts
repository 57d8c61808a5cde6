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

/** The gradients that ours stand in front of, by kernel, and what ours are. */
const wrapped = new Map<string, {stock: tf.GradConfig; ours: tf.GradConfig}>();

/**
 * Puts a gradient in front of tfjs's own, to which it can leave what that has right. Doing so again wraps nothing twice.
 *
 * @param wrap gives the new gradient for tfjs's.
 */
export function wrapGradient(kernelName: string, wrap: (stock: tf.GradConfig) => tf.GradConfig): void {
  const current = tf.getGradient(kernelName);
  const known = wrapped.get(kernelName);
  if (current == null || current === known?.ours) return;
  const ours = wrap(current);
  replaceGradient(ours);
  wrapped.set(kernelName, {stock: current, ours});
}
