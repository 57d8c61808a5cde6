import * as tf from '@tensorflow/tfjs-core';
import type {SiteDims} from '../../adapters/adapter.js';
import type {FrozenBase, Operation, SiteActivation} from '../operation.js';
import type {Pair, Window} from './convolution.js';

/** A frozen transposed convolution, whatever it is part of. */
export interface TransposedSource {
  /** tfjs has none with dilations. */
  window: Omit<Window, 'dilations'>;
  /** [height, width, outputs, channels], asked at every call. */
  kernel(): tf.Tensor4D;
  /** The kernel as a matrix, see {@link transposedMatrix}, where one is at hand. */
  matrix?(): tf.Tensor2D;
  bias(): tf.Tensor1D | undefined;
  activation?(): SiteActivation | undefined;
  /** Height and width of the output of an input; asked at every call. */
  outputSize(x: tf.Tensor4D): Pair;
}

type Shape4D = [number, number, number, number];

/** Swaps outputs and channels, compared with a convolution's kernel. */
const TURNED = [0, 1, 3, 2];

/** The kernel of a transposed convolution as a matrix [window · channels, outputs]. */
export function transposedMatrix(kernel: tf.Tensor): tf.Tensor2D {
  return tf.reshape(tf.transpose(kernel, TURNED), [-1, kernel.shape[2]!]);
}

/** The kernel for which {@link transposedMatrix} gives this matrix, with a window's height and width. */
export function transposedKernel(matrix: tf.Tensor2D, size: Pair, channels: number): tf.Tensor4D {
  return tf.transpose(tf.reshape(matrix, [...size, channels, matrix.shape[1]]), TURNED);
}

class TransposedConvolution implements Operation {
  constructor(private readonly source: TransposedSource) {}

  get dims(): SiteDims & {routerDim: number} {
    const [height, width, outputDim, routerDim] = this.source.kernel().shape;
    return {inputDim: height * width * routerDim, outputDim, routerDim};
  }

  get frozen(): FrozenBase {
    const bias = this.source.bias();
    const kernel = this.source.matrix?.() ?? transposedMatrix(this.source.kernel());
    return {kernel, ...(bias && {bias})};
  }

  get activation(): SiteActivation | undefined {
    return this.source.activation?.();
  }

  base(x: tf.Tensor): tf.Tensor {
    const z = this.spread(x as tf.Tensor4D, this.source.kernel());
    const bias = this.source.bias();
    return bias === undefined ? z : tf.add(z, bias);
  }

  project(x: tf.Tensor, a: tf.Tensor2D): tf.Tensor {
    return this.spread(x as tf.Tensor4D, transposedKernel(a, this.source.window.size, x.shape[3]!));
  }

  /** For each output pixel, the mean of the input pixels that reach it. */
  routed(x: tf.Tensor): tf.Tensor {
    const image = x as tf.Tensor4D;
    const [batch, height, width, channels] = image.shape;
    const outputs = this.source.outputSize(image);
    const ones = tf.ones([...this.source.window.size, 1, 1]) as tf.Tensor4D;
    // Each channel as an image of its own, since channels do not mix.
    const planes = tf.reshape(tf.transpose(image, [0, 3, 1, 2]), [batch * channels, height, width, 1]);
    const sums = this.spread(planes as tf.Tensor4D, ones, outputs);
    // If strides are larger than the window, no pixel reaches some outputs.
    const counts = tf.maximum(this.spread(tf.ones([1, height, width, 1]), ones, outputs), 1);
    return tf.transpose(tf.reshape(tf.div(sums, counts), [batch, channels, ...outputs]), [0, 2, 3, 1]);
  }

  private spread(x: tf.Tensor4D, filter: tf.Tensor4D, outputs = this.source.outputSize(x)): tf.Tensor4D {
    const {strides} = this.source.window;
    const shape: Shape4D = [x.shape[0], ...outputs, filter.shape[2]];
    return tf.conv2dTranspose(x, filter, shape, strides, this.padding(shape, filter.shape));
  }

  /**
   * The padding in numbers where stock wasm gets 'same' wrong in the gradient, which is itself a convolution:
   * there it gives zeros where strides leave gaps.
   */
  private padding(shape: Shape4D, filter: Shape4D): Window['pad'] {
    const {pad, size, strides} = this.source.window;
    if (pad !== 'same' || strides.every((stride, i) => stride <= size[i]!)) return pad;
    const {top, bottom, left, right} = tf.backend_util.computeConv2DInfo(
      shape,
      filter,
      strides,
      1,
      pad,
    ).padInfo;
    return [
      [0, 0],
      [top, bottom],
      [left, right],
      [0, 0],
    ];
  }
}

/**
 * A transposed convolution. A is one with the kernel's own window to R channels, and B acts on those channels
 * alone. Routers see the mean of the pixels that reach each of the output's.
 */
export function transposedConvolution(source: TransposedSource): Operation {
  return new TransposedConvolution(source);
}
