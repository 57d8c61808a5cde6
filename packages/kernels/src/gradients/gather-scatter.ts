import * as tf from '@tensorflow/tfjs-core';
import {replaceGradient} from './registry.js';

/** Integer indices never carry a gradient; this is for tfjs, which asks every input. */
const none = (indices: tf.Tensor) => () => tf.zeros(indices.shape);

/** GatherNd's gradient is ScatterNd, which adds where an index occurs twice, and the other way round. */
export function registerGatherScatterGradients(): void {
  replaceGradient({
    kernelName: 'GatherNd',
    inputsToSave: ['params', 'indices'],
    gradFunc: (dy, saved) => {
      const [params, indices] = saved as [tf.Tensor, tf.Tensor];
      return {params: () => tf.scatterND(indices, dy as tf.Tensor, params.shape), indices: none(indices)};
    },
  });
  replaceGradient({
    kernelName: 'ScatterNd',
    inputsToSave: ['indices'],
    gradFunc: (dy, saved) => {
      const [indices] = saved as [tf.Tensor];
      return {updates: () => tf.gatherND(dy as tf.Tensor, indices), indices: none(indices)};
    },
  });
  replaceGradient({
    kernelName: 'TopK',
    inputsToSave: ['x'],
    outputsToSave: [false, true],
    gradFunc: (dys, saved) => {
      const [x, indices] = saved as [tf.Tensor, tf.Tensor];
      return {x: () => scatterRows((dys as unknown as tf.Tensor[])[0]!, indices, x.shape)};
    },
  });
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
