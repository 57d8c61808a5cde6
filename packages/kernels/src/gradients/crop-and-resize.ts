import * as tf from '@tensorflow/tfjs-core';
import {NoGradientError} from '../errors.js';
import {gradientPatch} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';
import {resampleGradient} from './resize.js';

/**
 * The share of each image row (or column) in each row (or column) of a crop, [boxes, count, size]. It is
 * computed with ops only, because the boxes may be computed too.
 */
function takes(first: tf.Tensor, last: tf.Tensor, count: number, size: number, method: string): tf.Tensor3D {
  const column = (t: tf.Tensor): tf.Tensor => tf.reshape(tf.mul(t, size - 1), [-1, 1]);
  const [from, to] = [column(first), column(last)];
  const at =
    count > 1
      ? tf.add(from, tf.mul(tf.div(tf.sub(to, from), count - 1), tf.reshape(tf.range(0, count), [1, -1])))
      : tf.mul(tf.add(from, to), 0.5);
  const inside = tf.logicalAnd(tf.greaterEqual(at, 0), tf.lessEqual(at, size - 1));
  const places = tf.reshape(tf.range(0, size), [1, 1, -1]);
  // Rounded as the kernels round, halves up: tf.round takes halves to the even.
  const nearest = (t: tf.Tensor): tf.Tensor => tf.floor(tf.add(t, 0.5));
  const spot = tf.expandDims(at, 2);
  const weights =
    method === 'bilinear'
      ? tf.relu(tf.sub(1, tf.abs(tf.sub(spot, places))))
      : tf.cast(tf.equal(nearest(spot), places), 'float32');
  return tf.mul(weights, tf.cast(tf.expandDims(inside, 2), 'float32')) as tf.Tensor3D;
}

/** CropAndResize's gradient with respect to the image. */
export const CROP_AND_RESIZE_GRADIENT: AnyPatch = gradientPatch<tf.CropAndResizeAttrs>({
  kernelName: 'CropAndResize',
  inputsToSave: ['image', 'boxes', 'boxInd'],
  gradFunc: (dy, saved, {cropSize, method}) => {
    const [image, boxes, boxInd] = saved as [tf.Tensor4D, tf.Tensor2D, tf.Tensor1D];
    const [images, height, width, channels] = image.shape;
    return {
      image: () => {
        const [y1, x1, y2, x2] = tf.split(boxes, 4, 1) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
        const parts = resampleGradient(
          dy,
          takes(y1, y2, cropSize[0], height, method),
          takes(x1, x2, cropSize[1], width, method),
        );
        const owners = tf.cast(tf.oneHot(boxInd, images), 'float32');
        const rows = tf.reshape(parts, [boxes.shape[0], height * width * channels]);
        return tf.reshape(tf.matMul(owners as tf.Tensor2D, rows as tf.Tensor2D, true), image.shape);
      },
      boxes: () => {
        throw new NoGradientError(
          'CropAndResize: no gradient with respect to the boxes. Use boxes that do not depend on trained ' +
            'weights.',
        );
      },
      boxInd: () => tf.zeros(boxInd.shape),
    };
  },
});
