import * as tf from '@tensorflow/tfjs-core';
import {gradientPatch} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';

/** Adds the mirrored parts on both sides of one axis to the gradient's inner part. */
function fold(t: tf.Tensor, axis: number, [before, after]: [number, number], edge: number): tf.Tensor {
  const size = t.shape[axis]! - before - after;
  const part = (from: number, length: number): tf.Tensor => {
    const begin = t.shape.map((_, i) => (i === axis ? from : 0));
    return tf.slice(
      t,
      begin,
      t.shape.map((all, i) => (i === axis ? length : all)),
    );
  };
  const placed = (mirrored: tf.Tensor, at: number, length: number): tf.Tensor =>
    tf.pad(
      tf.reverse(mirrored, axis),
      t.shape.map((_, i): [number, number] => (i === axis ? [at, size - at - length] : [0, 0])),
    );
  let sum = part(before, size);
  if (before > 0) sum = tf.add(sum, placed(part(0, before), edge, before));
  if (after > 0) sum = tf.add(sum, placed(part(before + size, after), size - after - edge, after));
  return sum;
}

/** MirrorPad's gradient: the gradient of a mirrored entry adds to that of its original; stock drops it. */
export const MIRROR_PAD_GRADIENT: AnyPatch = gradientPatch<tf.MirrorPadAttrs>({
  kernelName: 'MirrorPad',
  inputsToSave: ['x'],
  gradFunc: (dy, _, {paddings, mode}) => {
    // REFLECT leaves the edge itself out.
    const edge = mode === 'reflect' ? 1 : 0;
    return {
      x: () =>
        paddings.reduce<tf.Tensor>(
          (t, padding, axis) => (padding.some((size) => size > 0) ? fold(t, axis, padding, edge) : t),
          dy,
        ),
    };
  },
});
