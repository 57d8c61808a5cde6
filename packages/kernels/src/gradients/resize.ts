import * as tf from '@tensorflow/tfjs-core';
import {gradientPatch} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';

/**
 * The gradient of a resampling, which is a product with a matrix for the rows and one for the columns of each
 * image.
 *
 * @param dy [batch, rows, columns, channels].
 * @param ofRows what each row takes of the input's, [batch, rows, height].
 * @param ofColumns the same for columns, [batch, columns, width].
 * @returns [batch, height, width, channels].
 */
export function resampleGradient(dy: tf.Tensor, ofRows: tf.Tensor3D, ofColumns: tf.Tensor3D): tf.Tensor4D {
  const [batch, rows, columns, channels] = dy.shape as [number, number, number, number];
  const height = ofRows.shape[2];
  const width = ofColumns.shape[2];
  const overRows = tf.matMul(ofRows, tf.reshape(dy, [batch, rows, columns * channels]), true);
  const lines = tf.transpose(tf.reshape(overRows, [batch, height, columns, channels]), [0, 2, 1, 3]);
  const overColumns = tf.matMul(ofColumns, tf.reshape(lines, [batch, columns, height * channels]), true);
  return tf.transpose(tf.reshape(overColumns, [batch, width, height, channels]), [0, 2, 1, 3]) as tf.Tensor4D;
}

interface ResizeAttributes {
  alignCorners: boolean;
  halfPixelCenters: boolean;
}

type Weights = (to: number, from: number, attributes: ResizeAttributes) => Float32Array;

/** How many input pixels an output pixel is wide, as tfjs's forward kernels have it. */
function scaleOf(to: number, from: number, {alignCorners}: ResizeAttributes): number {
  return alignCorners && to > 1 ? (from - 1) / (to - 1) : from / to;
}

/** Row i: what output i takes of each input, [to, from]. */
const bilinear: Weights = (to, from, attributes) => {
  const weights = new Float32Array(to * from);
  const scale = scaleOf(to, from, attributes);
  for (let i = 0; i < to; i++) {
    const at = attributes.halfPixelCenters ? scale * (i + 0.5) - 0.5 : scale * i;
    const below = Math.max(0, Math.floor(at));
    const above = Math.min(from - 1, Math.ceil(at));
    const fraction = at - below;
    weights[i * from + below]! += 1 - fraction;
    weights[i * from + above]! += fraction;
  }
  return weights;
};

const nearest: Weights = (to, from, attributes) => {
  const weights = new Float32Array(to * from);
  const scale = scaleOf(to, from, attributes);
  for (let i = 0; i < to; i++) {
    const at = attributes.halfPixelCenters ? scale * (i + 0.5) : scale * i;
    const taken = attributes.alignCorners ? Math.round(at) : Math.floor(at);
    weights[i * from + Math.max(0, Math.min(from - 1, taken))] = 1;
  }
  return weights;
};

/** The same for each image of a batch. */
function forBatch(values: Float32Array, batch: number, shape: [number, number]): tf.Tensor3D {
  return tf.tile(tf.tensor3d(values, [1, ...shape]), [batch, 1, 1]);
}

const resize = (kernelName: string, weights: Weights): AnyPatch =>
  gradientPatch<ResizeAttributes>({
    kernelName,
    inputsToSave: ['images'],
    gradFunc: (dy, saved, attributes) => {
      const [batch, height, width] = saved[0]!.shape as [number, number, number];
      const [, rows, columns] = dy.shape as [number, number, number];
      return {
        images: () =>
          resampleGradient(
            dy,
            forBatch(weights(rows, height, attributes), batch, [rows, height]),
            forBatch(weights(columns, width, attributes), batch, [columns, width]),
          ),
      };
    },
  });

/**
 * ResizeBilinear and ResizeNearestNeighbor: stock's gradients know nothing of half pixels, fail on the cpu
 * backend for several sizes, and do not come to an end for one pixel with aligned corners.
 */
export const RESIZE_GRADIENTS: AnyPatch[] = [
  resize('ResizeBilinear', bilinear),
  resize('ResizeNearestNeighbor', nearest),
];
