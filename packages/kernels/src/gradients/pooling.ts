import * as tf from '@tensorflow/tfjs-core';
import {gradientPatch, gradientWrap} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';

interface PoolAttributes {
  filterSize: number | number[];
  strides: number | number[];
  pad: Parameters<typeof tf.backend_util.computePool2DInfo>[4];
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

/** What share of a window along one axis lies within the input, by output. */
function shares(
  outSize: number,
  inSize: number,
  {stride, window, before}: {stride: number; window: number; before: number},
): number[] {
  return Array.from({length: outSize}, (_, i) => {
    const from = i * stride - before;
    const inside = Math.min(from + window, inSize) - Math.max(from, 0);
    return inside > 0 ? inside / window : 1;
  });
}

/** A vector along one axis of a tensor of that rank. */
function along(values: number[], axis: number, rank: number): tf.Tensor {
  const shape = Array.from({length: rank}, (_, i) => (i === axis ? values.length : 1));
  return tf.tensor(Float32Array.from(values), shape);
}

type Part = Parameters<typeof shares>;

function axesOf(rank: 4 | 5): (shape: number[], attributes: PoolAttributes) => Part[] {
  return (shape, {filterSize, strides, pad, dimRoundingMode}) => {
    if (rank === 4) {
      const info = tf.backend_util.computePool2DInfo(
        shape as [number, number, number, number],
        filterSize as [number, number],
        strides as [number, number],
        1,
        pad,
        dimRoundingMode,
      );
      const {top, left} = info.padInfo;
      return [
        [info.outHeight, info.inHeight, {stride: info.strideHeight, window: info.filterHeight, before: top}],
        [info.outWidth, info.inWidth, {stride: info.strideWidth, window: info.filterWidth, before: left}],
      ];
    }
    const info = tf.backend_util.computePool3DInfo(
      shape as [number, number, number, number, number],
      filterSize as [number, number, number],
      strides as [number, number, number],
      1,
      pad as 'same',
      dimRoundingMode,
    );
    const {front, top, left} = info.padInfo;
    return [
      [info.outDepth, info.inDepth, {stride: info.strideDepth, window: info.filterDepth, before: front}],
      [info.outHeight, info.inHeight, {stride: info.strideHeight, window: info.filterHeight, before: top}],
      [info.outWidth, info.inWidth, {stride: info.strideWidth, window: info.filterWidth, before: left}],
    ];
  };
}

/**
 * A mean covers only the part of a window that lies within the input, but stock's gradient divides by the
 * whole window. Dividing dy by the share of that part first corrects this.
 */
const mean = (kernelName: string, axes: ReturnType<typeof axesOf>): AnyPatch =>
  gradientWrap<PoolAttributes>(kernelName, (stock) => (dy, saved, attrs) => {
    const [x] = saved as [tf.Tensor];
    // Explicit padding, which no converted model has, keeps stock's gradient, as tfjs-core's specs require.
    if (Array.isArray(attrs.pad)) return stock(dy, saved, attrs);
    let scaled = dy;
    axes(x.shape, attrs).forEach((part, i) => {
      const own = shares(...part);
      if (own.some((share) => share !== 1)) scaled = tf.div(scaled, along(own, i + 1, x.rank));
    });
    return stock(scaled, saved, attrs);
  });

/** AvgPool and AvgPool3D with padding; the values of MaxPoolWithArgmax, of which stock has no gradient. */
export const POOLING_GRADIENTS: AnyPatch[] = [
  mean('AvgPool', axesOf(4)),
  mean('AvgPool3D', axesOf(5)),
  gradientPatch<tf.MaxPoolWithArgmaxAttrs>({
    kernelName: 'MaxPoolWithArgmax',
    inputsToSave: ['x'],
    outputsToSave: [false, true],
    gradFunc: (dy, saved, {includeBatchInIndex}) => {
      const [{shape, size}, places] = saved as [tf.Tensor, tf.Tensor];
      const batch = shape[0]!;
      return {
        x: () => {
          const rows = tf.reshape(tf.cast(places, 'int32'), [batch, -1]);
          const starts = tf.mul(tf.range(0, batch, 1, 'int32'), tf.scalar(size / batch, 'int32'));
          const flat = includeBatchInIndex ? rows : tf.add(rows, tf.reshape(starts, [batch, 1]));
          const spread = tf.scatterND(tf.reshape(flat, [-1, 1]), tf.reshape(dy, [-1]), [size]);
          return tf.reshape(spread, shape);
        },
      };
    },
  }),
];
