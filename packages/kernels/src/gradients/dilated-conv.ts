import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '../errors.js';
import {replaceGradient} from './registry.js';

interface Attributes {
  strides: [number, number] | number;
  pad: Parameters<typeof tf.backend_util.computeConv2DInfo>[4];
  dataFormat?: 'NHWC' | 'NCHW';
  dilations?: [number, number] | number;
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

/**
 * Gradients of a convolution with gaps between its taps, [n, h, w, c] with [kh, kw, c, d]. Each tap is a product of its own with a part
 * of the padded input, and so are its gradients; tfjs takes no stride where there are gaps.
 */
function tapGradients(
  dy: tf.Tensor4D,
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  {strides, pad, dilations, dimRoundingMode}: Attributes,
): {x: () => tf.Tensor; filter: () => tf.Tensor} {
  const info = tf.backend_util.computeConv2DInfo(
    x.shape,
    filter.shape,
    strides,
    dilations!,
    pad,
    dimRoundingMode,
  );
  const {batchSize, outHeight, outWidth, inChannels, outChannels, filterHeight, filterWidth} = info;
  const {top, left} = info.padInfo;
  const height = outHeight + (filterHeight - 1) * info.dilationHeight;
  const width = outWidth + (filterWidth - 1) * info.dilationWidth;
  const [bottom, right] = [height - top - info.inHeight, width - left - info.inWidth];
  // Where the padding is not the whole of what is missing, the last rows and columns take no part.
  const around: [number, number][] = [
    [0, 0],
    [top, Math.max(0, bottom)],
    [left, Math.max(0, right)],
    [0, 0],
  ];
  const rows = tf.reshape(dy, [-1, outChannels]) as tf.Tensor2D;
  const taps = Array.from({length: filterHeight * filterWidth}, (_, i) => ({
    row: Math.floor(i / filterWidth),
    column: i % filterWidth,
  }));
  const size = [batchSize, outHeight, outWidth, inChannels];
  return {
    x: () => {
      const [allHeight, allWidth] = [
        top + info.inHeight + around[1]![1],
        left + info.inWidth + around[2]![1],
      ];
      const parts = taps.map(({row, column}) => {
        const tap = tf.reshape(tf.slice(filter, [row, column], [1, 1]), [
          inChannels,
          outChannels,
        ]) as tf.Tensor2D;
        const part = tf.reshape(tf.matMul(rows, tap, false, true), size);
        const [above, before] = [row * info.dilationHeight, column * info.dilationWidth];
        return tf.pad(part, [
          [0, 0],
          [above, allHeight - above - outHeight],
          [before, allWidth - before - outWidth],
          [0, 0],
        ]);
      });
      return tf.slice(tf.addN(parts), [0, top, left, 0], x.shape);
    },
    filter: () => {
      const padded = tf.pad(x, around);
      const parts = taps.map(({row, column}) => {
        const from = [0, row * info.dilationHeight, column * info.dilationWidth, 0];
        const part = tf.reshape(tf.slice(padded, from, size), [-1, inChannels]) as tf.Tensor2D;
        return tf.matMul(part, rows, true, false);
      });
      return tf.reshape(tf.stack(parts), filter.shape);
    },
  };
}

/**
 * Stock tfjs refuses the gradient of a dilated Conv2D; others are left to it.
 *
 * @throws ConfigError from the gradient of a dilated convolution in NCHW.
 */
export function registerDilatedConvGradient(): void {
  const stock = tf.getGradient('Conv2D');
  if (stock == null || Object.hasOwn(stock, DILATED)) return;
  replaceGradient({
    ...stock,
    [DILATED]: true,
    kernelName: 'Conv2D',
    gradFunc: (dy, saved, attrs) => {
      const attributes = attrs as unknown as Attributes;
      if ([attributes.dilations ?? 1].flat().every((size) => size === 1)) {
        return stock.gradFunc(dy, saved, attrs);
      }
      if (attributes.dataFormat === 'NCHW') {
        throw new ConfigError('Conv2D: no gradient of a dilated convolution in NCHW. Transpose to NHWC.');
      }
      const [x, filter] = saved as [tf.Tensor4D, tf.Tensor4D];
      return tapGradients(dy as tf.Tensor4D, x, filter, attributes);
    },
  } as tf.GradConfig);
}

/** Marks the gradient that knows dilations, so that registering again does not wrap it again. */
const DILATED = 'tfjs-peft.dilated';
