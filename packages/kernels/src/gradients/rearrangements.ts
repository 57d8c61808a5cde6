import * as tf from '@tensorflow/tfjs-core';
import {gradientPatch, gradientWrap} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';

/** DepthToSpace backwards: each block of pixels becomes the channels of one. */
function spaceToDepth(t: tf.Tensor, block: number, channelsFirst: boolean): tf.Tensor {
  if (channelsFirst) {
    const [batch, channels, height, width] = t.shape as [number, number, number, number];
    const [rows, columns] = [height / block, width / block];
    const blocks = tf.reshape(t, [batch * channels, rows, block, columns, block]);
    const depth = tf.reshape(tf.transpose(blocks, [0, 2, 4, 1, 3]), [
      batch,
      channels,
      block * block,
      rows,
      columns,
    ]);
    return tf.reshape(tf.transpose(depth, [0, 2, 1, 3, 4]), [batch, channels * block * block, rows, columns]);
  }
  const [batch, height, width, channels] = t.shape as [number, number, number, number];
  const [rows, columns] = [height / block, width / block];
  // Rank 5: a pixel of a block and its channels are in a row already.
  const blocks = tf.reshape(t, [batch * rows, block, columns, block * channels]);
  return tf.reshape(tf.transpose(blocks, [0, 2, 1, 3]), [batch, rows, columns, block * block * channels]);
}

/** The sum of the copies that Tile made, axis by axis. */
function sumOfCopies(dy: tf.Tensor, shape: number[], reps: number[]): tf.Tensor {
  let sum = dy;
  let before = 1;
  shape.forEach((size, axis) => {
    const count = reps[axis]!;
    if (count > 1) sum = tf.sum(tf.reshape(sum, [before, count, -1]), 1);
    before *= size;
  });
  return tf.reshape(sum, shape);
}

/**
 * DepthToSpace, TensorScatterUpdate, Tile of more than four axes, Unpack and Split into a single part, Prod
 * over a negative axis.
 */
export const REARRANGEMENT_GRADIENTS: AnyPatch[] = [
  gradientPatch<tf.DepthToSpaceAttrs>({
    kernelName: 'DepthToSpace',
    inputsToSave: ['x'],
    gradFunc: (dy, _, {blockSize, dataFormat}) => ({
      x: () => spaceToDepth(dy, blockSize, dataFormat === 'NCHW'),
    }),
  }),
  gradientPatch({
    kernelName: 'TensorScatterUpdate',
    inputsToSave: ['indices', 'updates'],
    gradFunc: (dy, saved) => {
      const [indices, updates] = saved as [tf.Tensor, tf.Tensor];
      return {
        tensor: () => {
          const written = tf.scatterND(indices, tf.ones(updates.shape), dy.shape);
          return tf.mul(dy, tf.cast(tf.equal(written, 0), 'float32'));
        },
        indices: () => tf.zeros(indices.shape),
        updates: () => tf.gatherND(dy, indices),
      };
    },
  }),
  gradientWrap<tf.TileAttrs>('Tile', (stock) => (dy, saved, attrs) => {
    const [{shape}] = saved as [tf.Tensor];
    if (shape.length < 5) return stock(dy, saved, attrs);
    return {x: () => sumOfCopies(dy, shape, attrs.reps)};
  }),
  // For a single output, tfjs does not pass a list of gradients, but stock expects one.
  ...['Unpack', 'SplitV'].map((kernelName) =>
    gradientWrap(kernelName, (stock) => (_dy, saved, attrs, dys) => stock(dys, saved, attrs)),
  ),
  // Stock does not resolve a negative axis.
  gradientWrap<{axis: number | number[]}>('Prod', (stock) => (dy, saved, attrs) => {
    const axis = tf.util.parseAxisParam(attrs.axis, saved[0]!.shape);
    return stock(dy, saved, {...attrs, axis});
  }),
];
