import * as tf from '@tensorflow/tfjs-core';
import type {SiteDims} from '../../adapters/adapter.js';
import type {FrozenBase, Operation, SiteActivation} from '../operation.js';

/** A number for height and one for width. */
export type Pair = [number, number];
type Shape4D = [number, number, number, number];

/** How a window moves over an image. */
export interface Window {
  size: Pair;
  strides: Pair;
  /** As `tf.conv2d` has it. */
  pad: 'same' | 'valid' | tf.backend_util.ExplicitPadding;
  dilations: Pair;
}

/** A frozen convolution, whatever it is part of. */
export interface ConvolutionSource {
  window: Window;
  /** Read at every call. It has four axes, or three if the image is a sequence. */
  kernel(): tf.Tensor;
  /** The kernel as a matrix [window · channels, outputs], where one is at hand. */
  matrix?(): tf.Tensor2D;
  bias(): tf.Tensor1D | undefined;
  activation?(): SiteActivation | undefined;
}

function isDilated({dilations}: Window): boolean {
  return dilations.some((n) => n > 1);
}

/** Runs a function of images on an image, or on a sequence as an image of one row. */
function onImages(x: tf.Tensor, f: (x: tf.Tensor4D) => tf.Tensor4D): tf.Tensor {
  if (x.rank === 4) return f(x as tf.Tensor4D);
  const [batch, length, channels] = x.shape as [number, number, number];
  const y = f(tf.reshape(x, [batch, 1, length, channels]));
  return tf.reshape(y, [batch, y.shape[2], y.shape[3]]);
}

function isPoint({size, strides, pad}: Window): boolean {
  return typeof pad === 'string' && [...size, ...strides].every((n) => n === 1);
}

/** The mean over each window, in which padding does not count. */
function means(x: tf.Tensor, window: Window): tf.Tensor {
  if (isPoint(window)) return x;
  const {size, strides, pad, dilations} = window;
  const pool = (image: tf.Tensor4D) =>
    isDilated(window)
      ? tf.pool(image, size, 'avg', 'valid', dilations, strides)
      : tf.avgPool(image, size, strides, 'valid');
  return onImages(x, (image) => {
    if (pad === 'valid') return pool(image);
    // Padded by hand: tfjs counts padding in the gradient of a mean, and with dilations in the mean too.
    const {top, bottom, left, right} = sizesOf(image, [...size, x.shape.at(-1)!, 1], window).padInfo;
    const padded = (y: tf.Tensor4D): tf.Tensor4D =>
      tf.pad(y, [
        [0, 0],
        [top, bottom],
        [left, right],
        [0, 0],
      ]);
    const [, height, width] = image.shape;
    return tf.div(pool(padded(image)), pool(padded(tf.ones([1, height, width, 1]))));
  });
}

function sizesOf(
  image: tf.Tensor4D,
  filterShape: number[],
  {strides, pad, dilations}: Window,
): tf.backend_util.Conv2DInfo {
  return tf.backend_util.computeConv2DInfo(image.shape, filterShape as Shape4D, strides, dilations, pad);
}

/**
 * A convolution that has a gradient with dilations too, which tfjs refuses: rows and columns at the distance
 * of the dilation become separate images.
 */
function convolve(x: tf.Tensor4D, filter: tf.Tensor4D, window: Window): tf.Tensor4D {
  const {strides, pad, dilations} = window;
  if (!isDilated(window)) return tf.conv2d(x, filter, strides, pad);
  const {padInfo} = sizesOf(x, filter.shape, window);
  const axis = (i: 0 | 1, before: number, after: number): {pads: number[]; crops: number[]} => {
    const length = x.shape[1 + i]! + before + after;
    const extra = (dilations[i] - (length % dilations[i])) % dilations[i];
    return {pads: [before, after + extra], crops: [0, extra]};
  };
  const [rows, columns] = [axis(0, padInfo.top, padInfo.bottom), axis(1, padInfo.left, padInfo.right)];
  const apart = tf.spaceToBatchND(x, dilations, [rows.pads, columns.pads]);
  const convolved = tf.conv2d(apart, filter, 1, 'valid');
  return tf.batchToSpaceND(convolved, dilations, [rows.crops, columns.crops]);
}

/**
 * A convolution; one whose window is a single point and moves by one is a plain product over the channels.
 */
class Convolution implements Operation {
  readonly base?: (x: tf.Tensor) => tf.Tensor;
  readonly project?: (x: tf.Tensor, a: tf.Tensor2D) => tf.Tensor;
  readonly routed?: (x: tf.Tensor) => tf.Tensor;

  constructor(private readonly source: ConvolutionSource) {
    const {window} = source;
    if (isPoint(window)) return;
    this.project = (x, a) => this.multiply(x, a, window);
    this.routed = (x) => means(x, window);
    this.base = (x) => {
      const {kernel, bias} = this.frozen;
      const z = this.multiply(x, kernel, window);
      return bias === undefined ? z : tf.add(z, bias);
    };
  }

  get dims(): SiteDims & {routerDim: number} {
    const {shape} = this.source.kernel();
    const [routerDim, outputDim] = shape.slice(-2) as Pair;
    return {inputDim: tf.util.sizeFromShape(shape) / outputDim, outputDim, routerDim};
  }

  get frozen(): FrozenBase {
    const bias = this.source.bias();
    const kernel =
      this.source.matrix?.() ?? (tf.reshape(this.source.kernel(), [this.dims.inputDim, -1]) as tf.Tensor2D);
    return {kernel, ...(bias && {bias})};
  }

  get activation(): SiteActivation | undefined {
    return this.source.activation?.();
  }

  /** @param matrix What each window is multiplied by, [window · channels, R]. */
  private multiply(x: tf.Tensor, matrix: tf.Tensor2D, window: Window): tf.Tensor {
    const filter = tf.reshape(matrix, [...window.size, this.dims.routerDim, matrix.shape[1]]) as tf.Tensor4D;
    return onImages(x, (image) => convolve(image, filter, window));
  }
}

/**
 * A convolution. As in Hugging Face's PEFT, A is a convolution with the kernel's own window to R channels,
 * and B acts on those channels alone. Routers see the mean of the input over each window.
 */
export function convolution(source: ConvolutionSource): Operation {
  return new Convolution(source);
}

/**
 * A depthwise convolution, in which no output is a product of all channels: only its output can be scaled.
 * Routers see the mean of the input over each window.
 */
export function depthwiseConvolution({window, kernel, bias, activation}: ConvolutionSource): Operation {
  return {
    get dims(): SiteDims {
      const [height, width, channels, multiplier] = kernel().shape as Shape4D;
      return {
        inputDim: height * width,
        outputDim: channels * multiplier,
        routerDim: channels,
        kind: 'scaling',
      };
    },
    get frozen(): FrozenBase {
      const vector = bias();
      const matrix = tf.reshape(kernel(), [this.dims.inputDim, -1]) as tf.Tensor2D;
      return {kernel: matrix, ...(vector && {bias: vector})};
    },
    get activation() {
      return activation?.();
    },
    base(x) {
      const {strides, pad, dilations} = window;
      const filter = kernel() as tf.Tensor4D;
      const z = tf.depthwiseConv2d(x as tf.Tensor4D, filter, strides, pad, 'NHWC', dilations);
      const vector = bias();
      return vector === undefined ? z : tf.add(z, vector);
    },
    routed: (x) => means(x, window),
  };
}
