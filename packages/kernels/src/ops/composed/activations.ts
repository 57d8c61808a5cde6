import * as tf from '@tensorflow/tfjs-core';
import type {Activation} from '../../types.js';

const SQRT_HALF = Math.SQRT1_2;
const GELU_TANH = Math.sqrt(2 / Math.PI);
const GELU_CUBIC = 0.044715;

/** The activation, from tfjs-core's ops. */
export function activate(u: tf.Tensor2D, activation: Activation): tf.Tensor2D {
  switch (activation) {
    case 'linear':
      return u;
    case 'relu':
      return tf.relu(u);
    case 'relu6':
      return tf.relu6(u);
    case 'elu':
      return tf.elu(u);
    case 'tanh':
      return tf.tanh(u);
    case 'sigmoid':
      return tf.sigmoid(u);
    case 'silu':
      return tf.mul(u, tf.sigmoid(u));
    case 'gelu':
      return tf.mul(tf.mul(u, 0.5), tf.add(tf.erf(tf.mul(u, SQRT_HALF)), 1));
    case 'geluTanh':
      return tf.mul(tf.mul(u, 0.5), tf.add(tf.tanh(innerTanh(u)), 1));
  }
}

function innerTanh(u: tf.Tensor2D): tf.Tensor2D {
  return tf.mul(tf.mul(u, GELU_TANH), tf.add(tf.mul(tf.square(u), GELU_CUBIC), 1));
}

/** dy ∘ act', from the activation's output or input, whichever `gradientFrom` says. */
export function activationGradient(dy: tf.Tensor2D, ref: tf.Tensor2D, activation: Activation): tf.Tensor2D {
  return activation === 'linear' ? dy : tf.mul(dy, derivative(ref, activation));
}

function derivative(ref: tf.Tensor2D, activation: Activation): tf.Tensor2D {
  const one = tf.scalar(1);
  const float = (t: tf.Tensor2D): tf.Tensor2D => tf.cast(t, 'float32');
  switch (activation) {
    case 'relu':
      return float(tf.greater(ref, 0));
    case 'relu6':
      return float(tf.logicalAnd(tf.greater(ref, 0), tf.less(ref, 6)));
    case 'elu':
      return tf.where(tf.greaterEqual(ref, 0), tf.onesLike(ref), tf.add(ref, 1));
    case 'tanh':
      return tf.sub(one, tf.square(ref));
    case 'sigmoid':
      return tf.mul(ref, tf.sub(one, ref));
    case 'silu': {
      const s = tf.sigmoid(ref);
      return tf.mul(s, tf.add(tf.mul(ref, tf.sub(one, s)), 1));
    }
    case 'gelu': {
      const density = tf.mul(tf.exp(tf.mul(tf.square(ref), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      const cumulative = tf.mul(tf.add(tf.erf(tf.mul(ref, SQRT_HALF)), 1), 0.5);
      return tf.add(cumulative, tf.mul(ref, density));
    }
    case 'geluTanh': {
      const t = tf.tanh(innerTanh(ref));
      const slope = tf.mul(tf.add(tf.mul(tf.square(ref), 3 * GELU_CUBIC), 1), GELU_TANH);
      const left = tf.mul(tf.add(t, 1), 0.5);
      return tf.add(left, tf.mul(tf.mul(tf.mul(ref, 0.5), tf.sub(one, tf.square(t))), slope));
    }
    case 'linear':
      return tf.onesLike(ref);
  }
}
