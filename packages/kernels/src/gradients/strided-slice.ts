import * as tf from '@tensorflow/tfjs-core';
import {gradientPatch} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';

/**
 * Spreads `t` along one axis to `size`, element i at begin + i·stride, zeros elsewhere. As matrices of rows,
 * of whatever rank `t` is: stock webgl and webgpu pad no tensor of rank 5 or more.
 */
export function spread(t: tf.Tensor, axis: number, begin: number, stride: number, size: number): tf.Tensor {
  const [before, count, after] = [t.shape.slice(0, axis), t.shape[axis]!, t.shape.slice(axis + 1)];
  const [outer, inner] = [tf.util.sizeFromShape(before), tf.util.sizeFromShape(after)];
  const step = Math.abs(stride);
  const first = stride < 0 ? begin + (count - 1) * stride : begin;
  const rows = tf.reshape(t, [outer, count, inner]);
  let result: tf.Tensor = stride < 0 && count > 1 ? tf.reverse(rows, 1) : rows;
  if (step > 1) {
    const gaps = pad(tf.reshape(result, [outer * count, 1, inner]), 0, step - 1);
    const end = 1 + (count - 1) * step;
    result = tf.slice(tf.reshape(gaps, [outer, count * step, inner]), [0, 0, 0], [outer, end, inner]);
  }
  const padded = pad(result, first, size - first - result.shape[1]!);
  return tf.reshape(padded, [...before, size, ...after]);
}

/** Zeros before and after the middle one of three axes. */
function pad(t: tf.Tensor, before: number, after: number): tf.Tensor {
  if (before === 0 && after === 0) return t;
  return tf.pad(t, [
    [0, 0],
    [before, after],
    [0, 0],
  ]);
}

/** StridedSlice's gradient: the upstream one put back at the places that were read, axis by axis. */
export const STRIDED_SLICE_GRADIENT: AnyPatch = gradientPatch<tf.StridedSliceAttrs>({
  kernelName: 'StridedSlice',
  inputsToSave: ['x'],
  gradFunc: (dy, saved, a) => {
    const [x] = saved as [tf.Tensor];
    const info = tf.slice_util.sliceInfo(
      x.shape,
      a.begin,
      a.end,
      a.strides,
      a.beginMask,
      a.endMask,
      a.ellipsisMask,
      a.newAxisMask,
      a.shrinkAxisMask,
    );
    return {
      x: () => {
        const read = readShape(x, info);
        if (read.includes(0)) return tf.zeros(x.shape);
        let result = tf.reshape(dy, read);
        x.shape.forEach((size, axis) => {
          result = spread(result, axis, info.begin[axis]!, info.strides[axis]!, size);
        });
        return result;
      },
    };
  },
});

/**
 * How many places of each axis of x were read: unlike the slice's shape, it keeps shrunk axes and has no new
 * ones.
 */
function readShape(
  x: tf.Tensor,
  {begin, end, strides}: {begin: number[]; end: number[]; strides: number[]},
): number[] {
  return x.shape.map((_, i) => Math.max(0, Math.ceil((end[i]! - begin[i]!) / strides[i]!)));
}
