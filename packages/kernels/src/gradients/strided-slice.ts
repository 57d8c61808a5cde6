import * as tf from '@tensorflow/tfjs-core';
import {gradientPatch} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';

/** Spreads `t` along one axis to `size`, element i at begin + i·stride, zeros elsewhere. */
export function spread(t: tf.Tensor, axis: number, begin: number, stride: number, size: number): tf.Tensor {
  const step = Math.abs(stride);
  const count = t.shape[axis]!;
  const first = stride < 0 ? begin + (count - 1) * stride : begin;
  let result = stride < 0 && count > 1 ? tf.reverse(t, axis) : t;
  if (step > 1) {
    const [before, after] = [t.shape.slice(0, axis), t.shape.slice(axis + 1)];
    result = pad(tf.reshape(result, [...before, count, 1, ...after]), axis + 1, 0, step - 1);
    result = tf.reshape(result, [...before, count * step, ...after]);
    const end = 1 + (count - 1) * step;
    const begins = result.shape.map(() => 0);
    result = tf.slice(result, begins, [...before, end, ...after]);
  }
  return pad(result, axis, first, size - first - result.shape[axis]!);
}

function pad(t: tf.Tensor, axis: number, before: number, after: number): tf.Tensor {
  if (before === 0 && after === 0) return t;
  return tf.pad(
    t,
    t.shape.map((_, i): [number, number] => (i === axis ? [before, after] : [0, 0])),
  );
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

/** How many places of each axis of x were read: unlike the slice's shape, it keeps shrunk axes and has no new ones. */
function readShape(
  x: tf.Tensor,
  {begin, end, strides}: {begin: number[]; end: number[]; strides: number[]},
): number[] {
  return x.shape.map((_, i) => Math.max(0, Math.ceil((end[i]! - begin[i]!) / strides[i]!)));
}
