import * as tf from '@tensorflow/tfjs-core';
import type {ComposedKernel} from '../../kernel-map.js';

const magnitude = (stream: tf.Tensor, floor: number): tf.Tensor =>
  tf.maximum(tf.max(tf.abs(stream), -1, true), floor);

function softmaxGradient(dy: tf.Tensor, y: tf.Tensor): tf.Tensor {
  return tf.mul(y, tf.sub(dy, tf.sum(tf.mul(dy, y), -1, true)));
}

/** 1 where p is at least theta times the row's largest entry. */
function reached(p: tf.Tensor, theta: number): tf.Tensor {
  return tf.cast(tf.greaterEqual(p, tf.mul(tf.max(p, -1, true), theta)), 'float32');
}

/** The gradient of weight · x / magnitude(x), through the maximum too. */
function streamGradient(dz: tf.Tensor, x: tf.Tensor, weight: number, floor: number): tf.Tensor {
  const largest = magnitude(x, floor);
  const y = tf.div(x, largest);
  // If the divisor is the floor, no entry equals it; if it is the maximum, y there is the maximum's sign.
  const atMaximum = tf.mul(y, tf.cast(tf.equal(tf.abs(x), largest), 'float32'));
  const along = tf.sum(tf.mul(dz, y), -1, true);
  return tf.mul(tf.div(tf.sub(dz, tf.mul(atMaximum, along)), largest), weight);
}

export const PeftGates: ComposedKernel<'PeftGates'> = ({inputs: {x, kernel}, attrs: {temperature}}) =>
  tf.tidy(() => {
    const logits = tf.matMul(x, kernel);
    return tf.softmax(temperature === 1 ? logits : tf.div(logits, temperature));
  });

export const PeftSoftmaxGrad: ComposedKernel<'PeftSoftmaxGrad'> = ({inputs: {dy, y}, attrs: {scale}}) =>
  tf.tidy(() => {
    const gradient = softmaxGradient(dy, y);
    return scale === 1 ? gradient : tf.mul(gradient, scale);
  });

export const PeftStreamGates: ComposedKernel<'PeftStreamGates'> = ({inputs: {a, b}, attrs}) =>
  tf.tidy(() => {
    const {weightA, weightB, theta, floor} = attrs;
    const logitsOf = (x: tf.Tensor, weight: number) => tf.mul(tf.div(x, magnitude(x, floor)), weight);
    const p = tf.softmax(tf.add(logitsOf(a, weightA), logitsOf(b, weightB)));
    if (theta === null) return [p];
    const kept = tf.mul(p, reached(p, theta));
    return [p, tf.div(kept, tf.sum(kept, -1, true))];
  });

export const PeftStreamGatesGrad: ComposedKernel<'PeftStreamGatesGrad'> = ({inputs, attrs}) =>
  tf.tidy(() => {
    const {dp, dGates, a, b, p, gates} = inputs;
    const {weightA, weightB, floor} = attrs;
    let d: tf.Tensor = dp;
    if (gates !== undefined) {
      const mask = tf.cast(tf.greater(gates, 0), 'float32');
      const slope = tf.div(mask, tf.sum(tf.mul(p, mask), -1, true));
      d = tf.add(d, tf.mul(slope, tf.sub(dGates!, tf.sum(tf.mul(dGates!, gates), -1, true))));
    }
    const dz = softmaxGradient(d, p);
    return [streamGradient(dz, a, weightA, floor), streamGradient(dz, b, weightB, floor)];
  });
