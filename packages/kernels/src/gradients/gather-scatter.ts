import * as tf from '@tensorflow/tfjs-core';
import {gradientPatch} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';

/** Integer indices never carry a gradient, but tfjs asks for one of every input. */
const none = (indices: tf.Tensor) => () => tf.zeros(indices.shape);

/** The sum of those rows that have one id, by id: [count, width]. */
function sumById(rows: tf.Tensor, ids: tf.Tensor1D, count: number): tf.Tensor {
  // The wasm backend has it with wasm-training only.
  if (tf.getKernel('UnsortedSegmentSum', tf.getBackend()) != null)
    return tf.unsortedSegmentSum(rows, ids, count);
  return tf.scatterND(tf.reshape(ids, [-1, 1]), rows, [count, rows.shape[1]!]);
}

/**
 * Gather's gradient sums over all reads of an entry. Stock's handles at most one batch axis, and returns the
 * indices as their own gradient.
 */
function gatherGradient(
  dy: tf.Tensor,
  shape: number[],
  indices: tf.Tensor,
  axis: number,
  batchDims: number,
): tf.Tensor {
  const sizeOf = (from: number, to?: number): number => tf.util.sizeFromShape(shape.slice(from, to));
  const [batch, outer, count, inner] = [
    sizeOf(0, batchDims),
    sizeOf(batchDims, axis),
    shape[axis]!,
    sizeOf(axis + 1),
  ];
  const chosen = indices.size / batch;
  // [batch, outer, chosen, inner] to a row for each index, and back.
  const swap = (t: tf.Tensor): tf.Tensor => (outer === 1 ? t : tf.transpose(t, [0, 2, 1, 3]));
  const rows = swap(tf.reshape(dy, [batch, outer, chosen, inner]));
  const own = tf.reshape(tf.cast(indices, 'int32'), [batch, chosen]);
  const starts = tf.reshape(tf.mul(tf.range(0, batch, 1, 'int32'), tf.scalar(count, 'int32')), [batch, 1]);
  const ids = tf.reshape(batch === 1 ? own : tf.add(own, starts), [-1]) as tf.Tensor1D;
  const sums = sumById(tf.reshape(rows, [batch * chosen, outer * inner]), ids, batch * count);
  return tf.reshape(swap(tf.reshape(sums, [batch, count, outer, inner])), shape);
}

/** Puts each row's values at that row's indices of the last axis, zeros elsewhere. */
function scatterRows(values: tf.Tensor, indices: tf.Tensor, shape: number[]): tf.Tensor {
  const width = shape[shape.length - 1]!;
  const rows = tf.util.sizeFromShape(shape.slice(0, -1));
  const starts = tf.reshape(tf.mul(tf.range(0, rows, 1, 'int32'), tf.scalar(width, 'int32')), [rows, 1]);
  const flat = tf.add(tf.reshape(tf.cast(indices, 'int32'), [rows, -1]), starts);
  const scattered = tf.scatterND(tf.reshape(flat, [-1, 1]), tf.reshape(values, [-1]), [rows * width]);
  return tf.reshape(scattered, shape);
}

/** GatherNd's gradient is ScatterNd, which adds where an index occurs twice, and the other way round. */
export const GATHER_SCATTER_GRADIENTS: AnyPatch[] = [
  gradientPatch({
    kernelName: 'GatherNd',
    inputsToSave: ['params', 'indices'],
    gradFunc: (dy, saved) => {
      const [params, indices] = saved as [tf.Tensor, tf.Tensor];
      return {params: () => tf.scatterND(indices, dy, params.shape), indices: none(indices)};
    },
  }),
  gradientPatch<{axis: number; batchDims?: number}>({
    kernelName: 'GatherV2',
    inputsToSave: ['x', 'indices'],
    gradFunc: (dy, saved, {axis, batchDims = 0}) => {
      const [x, indices] = saved as [tf.Tensor, tf.Tensor];
      const at = tf.util.parseAxisParam(axis, x.shape)[0]!;
      return {x: () => gatherGradient(dy, x.shape, indices, at, batchDims), indices: none(indices)};
    },
  }),
  gradientPatch({
    kernelName: 'SparseToDense',
    inputsToSave: ['sparseIndices', 'sparseValues', 'defaultValue'],
    gradFunc: (dy, saved) => {
      const [indices, values] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      const places = tf.reshape(indices, [-1, dy.rank]);
      const taken = (): tf.Tensor => tf.gatherND(dy, places);
      return {
        sparseIndices: none(indices),
        sparseValues: () => (values.rank === 0 ? tf.sum(taken()) : tf.reshape(taken(), values.shape)),
        defaultValue: () => tf.sub(tf.sum(dy), tf.sum(taken())),
      };
    },
  }),
  gradientPatch({
    kernelName: 'ScatterNd',
    inputsToSave: ['indices'],
    gradFunc: (dy, saved) => {
      const [indices] = saved as [tf.Tensor];
      return {updates: () => tf.gatherND(dy, indices), indices: none(indices)};
    },
  }),
  gradientPatch({
    kernelName: 'TopK',
    inputsToSave: ['x'],
    outputsToSave: [false, true],
    gradFunc: (dy, saved) => {
      const [x, indices] = saved as [tf.Tensor, tf.Tensor];
      return {x: () => scatterRows(dy, indices, x.shape)};
    },
  }),
];
