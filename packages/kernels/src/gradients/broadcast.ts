import * as tf from '@tensorflow/tfjs-core';
import {replaceGradient, unbroadcast, wrapGradient} from './registry.js';

type Choice = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;

/** Maximum and Minimum, whose stock gradients keep the broadcast axes: the gradient goes to the operand that was taken. */
function registerChoice(kernelName: string, isFirst: Choice): void {
  replaceGradient({
    kernelName,
    inputsToSave: ['a', 'b'],
    gradFunc: (dy, saved) => {
      const [a, b] = saved as [tf.Tensor, tf.Tensor];
      const first = () => tf.cast(isFirst(a, b), 'float32');
      const upstream = dy as tf.Tensor;
      return {
        a: () => unbroadcast(tf.mul(upstream, first()), a.shape),
        b: () => unbroadcast(tf.mul(upstream, tf.sub(1, first())), b.shape),
      };
    },
  });
}

/** Gradients of elementwise ops that stock tfjs gives in the shape of the result, where an operand is smaller, or that are not 0. */
export function registerBroadcastGradients(): void {
  registerChoice('Maximum', tf.greaterEqual);
  registerChoice('Minimum', tf.lessEqual);
  replaceGradient({
    kernelName: 'Prelu',
    inputsToSave: ['x', 'alpha'],
    gradFunc: (dy, saved) => {
      const [x, alpha] = saved as [tf.Tensor, tf.Tensor];
      const upstream = dy as tf.Tensor;
      const positive = () => tf.cast(tf.greater(x, 0), 'float32');
      const negative = () => tf.cast(tf.lessEqual(x, 0), 'float32');
      return {
        x: () => unbroadcast(tf.mul(upstream, tf.add(positive(), tf.mul(negative(), alpha))), x.shape),
        alpha: () => unbroadcast(tf.mul(upstream, tf.mul(negative(), x)), alpha.shape),
      };
    },
  });
  // Steps, of which stock gives the gradient of the division; that of integers, which tf.div runs so too, is wanted.
  wrapGradient('FloorDiv', (stock) => ({
    ...stock,
    gradFunc: (dy, saved, attrs) => {
      const [a, b] = saved as [tf.Tensor, tf.Tensor];
      if (a.dtype !== 'float32' && b.dtype !== 'float32') return stock.gradFunc(dy, saved, attrs);
      return {a: () => tf.zeros(a.shape), b: () => tf.zeros(b.shape)};
    },
  }));
  // Whole numbers and truth values do not follow small changes of floats; stock hands the gradient on as if they did.
  replaceGradient({
    kernelName: 'Cast',
    inputsToSave: ['x'],
    gradFunc: (dy, saved, attrs) => {
      const [x] = saved as [tf.Tensor];
      const {dtype} = attrs as unknown as {dtype: tf.DataType};
      const stops = x.dtype === 'float32' && dtype !== 'float32';
      return {x: () => (stops ? tf.zeros(x.shape) : tf.cast(dy as tf.Tensor, 'float32'))};
    },
  });
}
