import * as tf from '@tensorflow/tfjs-core';
import {gradientPatch, gradientWrap} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';

/**
 * Sums the gradient of a broadcast operand over the axes that were broadcast, which gives it the operand's
 * own shape.
 */
export function unbroadcast(gradient: tf.Tensor, shape: number[]): tf.Tensor {
  const axes = tf.broadcast_util.getReductionAxes(shape, gradient.shape);
  return tf.reshape(axes.length > 0 ? tf.sum(gradient, axes) : gradient, shape);
}

type Choice = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;

/**
 * Maximum and Minimum, whose stock gradients keep the broadcast axes: the gradient goes to the operand that
 * was taken.
 */
const choice = (kernelName: string, isFirst: Choice): AnyPatch =>
  gradientPatch({
    kernelName,
    inputsToSave: ['a', 'b'],
    gradFunc: (dy, saved) => {
      const [a, b] = saved as [tf.Tensor, tf.Tensor];
      const first = () => tf.cast(isFirst(a, b), 'float32');
      return {
        a: () => unbroadcast(tf.mul(dy, first()), a.shape),
        b: () => unbroadcast(tf.mul(dy, tf.sub(1, first())), b.shape),
      };
    },
  });

/**
 * Gradients of elementwise ops for which stock tfjs keeps the shape of the result though an operand is
 * smaller, or gives something other than 0 where the output is piecewise constant.
 */
export const BROADCAST_GRADIENTS: AnyPatch[] = [
  choice('Maximum', tf.greaterEqual),
  choice('Minimum', tf.lessEqual),
  gradientPatch({
    kernelName: 'Prelu',
    inputsToSave: ['x', 'alpha'],
    gradFunc: (dy, saved) => {
      const [x, alpha] = saved as [tf.Tensor, tf.Tensor];
      const positive = () => tf.cast(tf.greater(x, 0), 'float32');
      const negative = () => tf.cast(tf.lessEqual(x, 0), 'float32');
      return {
        x: () => unbroadcast(tf.mul(dy, tf.add(positive(), tf.mul(negative(), alpha))), x.shape),
        alpha: () => unbroadcast(tf.mul(dy, tf.mul(negative(), x)), alpha.shape),
      };
    },
  }),
  // FloorDiv is piecewise constant, but stock gives it the gradient of the division. Only for integers, which
  // tf.div runs through FloorDiv too, is that gradient wanted.
  gradientWrap('FloorDiv', (stock) => (dy, saved, attrs) => {
    const [a, b] = saved as [tf.Tensor, tf.Tensor];
    if (a.dtype !== 'float32' && b.dtype !== 'float32') return stock(dy, saved, attrs);
    return {a: () => tf.zeros(a.shape), b: () => tf.zeros(b.shape)};
  }),
  // Integers and booleans do not follow small changes of floats; stock passes the gradient on as if they did.
  gradientPatch<tf.CastAttrs>({
    kernelName: 'Cast',
    inputsToSave: ['x'],
    gradFunc: (dy, saved, {dtype}) => {
      const [x] = saved as [tf.Tensor];
      const stops = x.dtype === 'float32' && dtype !== 'float32';
      return {x: () => (stops ? tf.zeros(x.shape) : tf.cast(dy, 'float32'))};
    },
  }),
];
