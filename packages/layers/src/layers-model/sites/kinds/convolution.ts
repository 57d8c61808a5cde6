import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import {layerActivation} from '../../../core/sites/activation.js';
import {
  type ConvolutionSource,
  convolution,
  depthwiseConvolution,
  type Pair,
  type Window,
} from '../../../core/sites/operations/convolution.js';
import {
  transposedConvolution,
  transposedKernel,
} from '../../../core/sites/operations/transposed-convolution.js';
import {inside} from '../../../core/tfjs/internals.js';
import type {LayerSite, SiteWeights} from '../layer-site.js';
import type {KernelInternals} from './dense.js';

/** The private fields of a stock convolution that sites read. */
export interface ConvolutionInternals extends KernelInternals {
  readonly name: string;
  readonly depthwiseKernel?: tfl.LayerVariable | null;
  readonly kernelSize: number[];
  readonly strides: number[];
  readonly padding: string;
  readonly dataFormat: string;
  readonly dilationRate: number | number[];
}

/**
 * How a stock convolution moves over an image.
 *
 * @throws UnsupportedSiteError if its options are others than the site has.
 */
export function windowOf({
  name,
  kernelSize,
  strides,
  padding,
  dataFormat,
  dilationRate,
}: ConvolutionInternals): Window {
  if (dataFormat !== 'channelsLast') {
    throw new UnsupportedSiteError(
      `Layer '${name}' has dataFormat '${dataFormat}', but adapters need 'channelsLast'. Rebuild it with ` +
        'that, or remove it from targets.',
    );
  }
  if (padding !== 'same' && padding !== 'valid') {
    throw new UnsupportedSiteError(
      `Layer '${name}' has padding '${padding}', but adapters need 'same' or 'valid'. Remove it from ` +
        'targets.',
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

/** The layer's weights and options as a convolution has them. */
function sourceOf(layer: ConvolutionInternals, window = windowOf(layer)): ConvolutionSource {
  return {
    window,
    kernel: () => (layer.depthwiseKernel ?? layer.kernel)!.read(),
    bias: () => layer.bias?.read() as tf.Tensor1D | undefined,
    activation: () => layerActivation(layer.activation),
  };
}

/** The weights of a convolution, of whichever kind. */
function weightsOf(layer: tfl.layers.Layer): SiteWeights {
  const {depthwiseKernel, kernel, bias} = inside<ConvolutionInternals>(layer);
  return {kernel: (depthwiseKernel ?? kernel)!, bias};
}

/** A Conv1D or Conv2D; see {@link convolution}. */
export function convolutionSite(kind: string): LayerSite {
  return {
    kind,
    weights: weightsOf,
    operation(layer) {
      const conv = inside<ConvolutionInternals>(layer);
      return convolution(sourceOf(conv));
    },
  };
}

/** A DepthwiseConv2D; see {@link depthwiseConvolution}. */
export const DEPTHWISE: LayerSite = {
  kind: 'depthwiseConv2d',
  weights: weightsOf,
  operation(layer) {
    const conv = inside<ConvolutionInternals>(layer);
    // The stock layer ignores its dilations, and so must its stand-in.
    return depthwiseConvolution(sourceOf(conv, {...windowOf(conv), dilations: [1, 1]}));
  },
};

/** A Conv2DTranspose; see {@link transposedConvolution}. */
export const TRANSPOSED: LayerSite = {
  kind: 'conv2dTranspose',
  weights(layer) {
    const weights = weightsOf(layer);
    const [height, width, , channels] = weights.kernel.shape as number[];
    return {...weights, toKernel: (matrix) => transposedKernel(matrix, [height!, width!], channels!)};
  },
  operation(layer) {
    const conv = inside<ConvolutionInternals>(layer);
    return transposedConvolution({
      window: windowOf(conv),
      kernel: () => conv.kernel!.read() as tf.Tensor4D,
      bias: () => conv.bias?.read() as tf.Tensor1D | undefined,
      activation: () => layerActivation(conv.activation),
      outputSize: (x) => (layer.computeOutputShape(x.shape) as number[]).slice(1, 3) as Pair,
    });
  },
};
