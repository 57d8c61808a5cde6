import * as tf from '@tensorflow/tfjs-core';
import {
  GATES,
  type PeftKernel,
  SOFTMAX_GRAD,
  STREAM_GATES,
  STREAM_GATES_GRAD,
} from '../../kernel-registry.js';
import type {GatesAttrs, SoftmaxGradAttrs} from '../gates.js';
import type {StreamGatesAttrs} from '../stream-gates.js';

type Tensors = Record<string, tf.Tensor2D | undefined>;

const magnitude = (stream: tf.Tensor, floor: number): tf.Tensor =>
  tf.maximum(tf.max(tf.abs(stream), -1, true), floor);

function softmaxGradient(dy: tf.Tensor, y: tf.Tensor): tf.Tensor {
  return tf.mul(y, tf.sub(dy, tf.sum(tf.mul(dy, y), -1, true)));
}

/** 1 where what of p is at least theta times the largest. */
function reached(p: tf.Tensor, theta: number): tf.Tensor {
  return tf.cast(tf.greaterEqual(p, tf.mul(tf.max(p, -1, true), theta)), 'float32');
}

/** The gradient of weight · x / magnitude(x), through the maximum too. */
function streamGradient(dz: tf.Tensor, x: tf.Tensor, weight: number, floor: number): tf.Tensor {
  const largest = magnitude(x, floor);
  const y = tf.div(x, largest);
  // Nothing equals the divisor where that is the floor; where it is the maximum, y is the maximum's sign.
  const atMaximum = tf.mul(y, tf.cast(tf.equal(tf.abs(x), largest), 'float32'));
  const along = tf.sum(tf.mul(dz, y), -1, true);
  return tf.mul(tf.div(tf.sub(dz, tf.mul(atMaximum, along)), largest), weight);
}

export const composedGates: Record<string, PeftKernel> = {
  [GATES]: ({inputs, attrs}) =>
    tf.tidy(() => {
      const {x, kernel} = inputs as unknown as Tensors;
      const {temperature} = attrs as unknown as GatesAttrs;
      const logits = tf.matMul(x!, kernel!);
      return tf.softmax(temperature === 1 ? logits : tf.div(logits, temperature));
    }),
  [SOFTMAX_GRAD]: ({inputs, attrs}) =>
    tf.tidy(() => {
      const {dy, y} = inputs as unknown as Tensors;
      const {scale} = attrs as unknown as SoftmaxGradAttrs;
      const gradient = softmaxGradient(dy!, y!);
      return scale === 1 ? gradient : tf.mul(gradient, scale);
    }),
  [STREAM_GATES]: ({inputs, attrs}) =>
    tf.tidy(() => {
      const {a, b} = inputs as unknown as Tensors;
      const {weightA, weightB, theta, floor} = attrs as unknown as StreamGatesAttrs;
      const logitsOf = (x: tf.Tensor, weight: number) => tf.mul(tf.div(x, magnitude(x, floor)), weight);
      const p = tf.softmax(tf.add(logitsOf(a!, weightA), logitsOf(b!, weightB)));
      if (theta === null) return [p];
      const kept = tf.mul(p, reached(p, theta));
      return [p, tf.div(kept, tf.sum(kept, -1, true))];
    }),
  [STREAM_GATES_GRAD]: ({inputs, attrs}) =>
    tf.tidy(() => {
      const {dp, dGates, a, b, p, gates} = inputs as unknown as Tensors;
      const {weightA, weightB, floor} = attrs as unknown as StreamGatesAttrs;
      let d: tf.Tensor = dp!;
      if (gates !== undefined) {
        const mask = tf.cast(tf.greater(gates, 0), 'float32');
        const slope = tf.div(mask, tf.sum(tf.mul(p!, mask), -1, true));
        d = tf.add(d, tf.mul(slope, tf.sub(dGates!, tf.sum(tf.mul(dGates!, gates), -1, true))));
      }
      const dz = softmaxGradient(d, p!);
      return [streamGradient(dz, a!, weightA, floor), streamGradient(dz, b!, weightB, floor)];
    }),
};
