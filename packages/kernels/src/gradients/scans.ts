import * as tf from '@tensorflow/tfjs-core';
import {gradientPatch} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';

/** Moves everything by `by` places towards the start of an axis, and fills up with one value. */
function ahead(t: tf.Tensor, axis: number, by: number, value: number): tf.Tensor {
  const size = t.shape[axis]!;
  const kept = Math.max(0, size - by);
  const part = tf.slice(
    t,
    t.shape.map((_, i) => (i === axis ? size - kept : 0)),
    t.shape.map((all, i) => (i === axis ? kept : all)),
  );
  const pads = t.shape.map((_, i): [number, number] => (i === axis ? [0, size - kept] : [0, 0]));
  return tf.pad(part, pads, value);
}

/**
 * The gradient of a running product. What follows an entry is s(i) = dy(i) + x(i + 1) s(i + 1), a recursion
 * that is doubled: no division, so zeros in x are no exception.
 */
function cumprodGradient(dy: tf.Tensor, x: tf.Tensor, axis: number, exclusive: boolean): tf.Tensor {
  const size = x.shape[axis]!;
  let sum = exclusive ? ahead(dy, axis, 1, 0) : dy;
  let factor = ahead(x, axis, 1, 0);
  for (let step = 1; step < size; step *= 2) {
    sum = tf.add(sum, tf.mul(factor, ahead(sum, axis, step, 0)));
    factor = tf.mul(factor, ahead(factor, axis, step, 0));
  }
  return tf.mul(tf.cumprod(x, axis, true, false), sum);
}

/**
 * Cumsum along any axis, where stock transposes a result that is already in order; and Cumprod, which has no
 * gradient in stock.
 */
export const SCAN_GRADIENTS: AnyPatch[] = [
  gradientPatch<tf.CumsumAttrs>({
    kernelName: 'Cumsum',
    inputsToSave: ['x'],
    gradFunc: (dy, saved, {axis, exclusive, reverse}) => {
      const [at] = tf.util.parseAxisParam(axis, saved[0]!.shape);
      return {x: () => tf.cumsum(dy, at, exclusive, !reverse)};
    },
  }),
  gradientPatch<tf.CumprodAttrs>({
    kernelName: 'Cumprod',
    inputsToSave: ['x'],
    gradFunc: (dy, saved, {axis, exclusive, reverse}) => {
      const [x] = saved as [tf.Tensor];
      const at = tf.util.parseAxisParam(axis, x.shape)[0]!;
      const turned = (t: tf.Tensor): tf.Tensor => (reverse ? tf.reverse(t, at) : t);
      return {x: () => turned(cumprodGradient(turned(dy), turned(x), at, exclusive))};
    },
  }),
];
