import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import type {SiteDims} from '../../adapters/adapter.js';
import {layerActivation} from '../activation.js';
import type {LayerSite} from '../layer-site.js';
import type {FrozenBase, Operation, SiteActivation} from '../operation.js';
import {type KernelInternals, vectorOf} from './dense.js';

/** The private fields of a stock convolution that sites read. */
interface ConvolutionInternals extends KernelInternals {
  readonly name: string;
  readonly depthwiseKernel?: tfl.LayerVariable | null;
  readonly kernelSize: number[];
  readonly strides: number[];
  readonly padding: string;
  readonly dataFormat: string;
  readonly dilationRate: number | number[];
}

type Pair = [number, number];
type Shape4D = [number, number, number, number];

/** How a window moves over an image. */
interface Window {
  size: Pair;
  strides: Pair;
  pad: 'same' | 'valid';
  dilations: Pair;
}

/** @throws UnsupportedSiteError if its options are others than the site has. */
function windowOf({
  name,
  kernelSize,
  strides,
  padding,
  dataFormat,
  dilationRate,
}: ConvolutionInternals): Window {
  if (dataFormat !== 'channelsLast') {
    throw new UnsupportedSiteError(
      `Layer '${name}' has dataFormat '${dataFormat}', but adapters need 'channelsLast'. Rebuild it so, or leave it out of targets.`,
    );
  }
  if (padding !== 'same' && padding !== 'valid') {
    throw new UnsupportedSiteError(
      `Layer '${name}' has padding '${padding}', but adapters need 'same' or 'valid'. Leave it out of targets.`,
    );
  }
  return {
    size: pair(kernelSize),
    strides: pair(strides),
    pad: padding,
    dilations: pair(typeof dilationRate === 'number' ? kernelSize.map(() => dilationRate) : dilationRate),
  };
}

/** A number for each axis of an image; a sequence is an image of one row. */
function pair(numbers: number[]): Pair {
  return numbers.length === 1 ? [1, numbers[0]!] : (numbers.slice(0, 2) as Pair);
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

function isPoint({size, strides}: Window): boolean {
  return [...size, ...strides].every((n) => n === 1);
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

/** A convolution that has a gradient with dilations too, which tfjs refuses: every so many rows and columns become images of their own. */
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

/** A convolution; one whose window is a single point and moves by one is a plain product over the channels. */
class Convolution implements Operation {
  readonly base?: (x: tf.Tensor) => tf.Tensor;
  readonly project?: (x: tf.Tensor, a: tf.Tensor2D) => tf.Tensor;
  readonly routed?: (x: tf.Tensor) => tf.Tensor;

  constructor(private readonly inside: ConvolutionInternals) {
    const window = windowOf(inside);
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
    const shape = this.inside.kernel!.shape as number[];
    const [routerDim, outputDim] = shape.slice(-2) as Pair;
    return {inputDim: tf.util.sizeFromShape(shape) / outputDim, outputDim, routerDim};
  }

  get frozen(): FrozenBase {
    const {kernel, bias} = this.inside;
    return {kernel: tf.reshape(kernel!.read(), [this.dims.inputDim, -1]) as tf.Tensor2D, ...vectorOf(bias)};
  }

  get activation(): SiteActivation {
    return layerActivation(this.inside.activation);
  }

  /** @param matrix What each window is multiplied by, [window · channels, R]. */
  private multiply(x: tf.Tensor, matrix: tf.Tensor2D, window: Window): tf.Tensor {
    const filter = tf.reshape(matrix, [...window.size, this.dims.routerDim, matrix.shape[1]]) as tf.Tensor4D;
    return onImages(x, (image) => convolve(image, filter, window));
  }
}

/**
 * A Conv1D or Conv2D. As in Hugging Face's PEFT, A is a convolution with the kernel's own window to R channels, and B acts on those
 * channels alone. Routers see the mean of the input over each window.
 */
export function convolutionSite(kind: string): LayerSite {
  return {kind, operation: (layer) => new Convolution(layer as unknown as ConvolutionInternals)};
}

/**
 * A DepthwiseConv2D, in which no output is a product of all channels: only its output can be scaled. Routers see the mean of the input
 * over each window.
 */
export const DEPTHWISE: LayerSite = {
  kind: 'depthwiseConv2d',
  operation(layer) {
    const conv = layer as unknown as ConvolutionInternals;
    // The stock layer does not heed its dilations, and neither may its stand-in.
    const window: Window = {...windowOf(conv), dilations: [1, 1]};
    return {
      get dims(): SiteDims {
        const [height, width, channels, multiplier] = conv.depthwiseKernel!.shape as [
          number,
          number,
          number,
          number,
        ];
        return {
          inputDim: height * width,
          outputDim: channels * multiplier,
          routerDim: channels,
          kind: 'scaling',
        };
      },
      get frozen() {
        const kernel = tf.reshape(conv.depthwiseKernel!.read(), [this.dims.inputDim, -1]) as tf.Tensor2D;
        return {kernel, ...vectorOf(conv.bias)};
      },
      get activation() {
        return layerActivation(conv.activation);
      },
      base(x) {
        const filter = conv.depthwiseKernel!.read() as tf.Tensor4D;
        const z = tf.depthwiseConv2d(x as tf.Tensor4D, filter, window.strides, window.pad);
        return conv.bias == null ? z : tf.add(z, conv.bias.read());
      },
      routed: (x) => means(x, window),
    };
  },
};
