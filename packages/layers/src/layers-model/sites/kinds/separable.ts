import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {layerActivation} from '../../../core/sites/activation.js';
import {inside} from '../../../core/tfjs/internals.js';
import type {LayerSite} from '../layer-site.js';
import {type ConvolutionInternals, windowOf} from './convolution.js';
import {vectorOf} from './dense.js';

/** The private fields of a stock SeparableConv2D that sites read. */
interface SeparableInternals extends ConvolutionInternals {
  readonly depthwiseKernel: tfl.LayerVariable | null;
  /** [1, 1, channels · multiplier, filters]. */
  readonly pointwiseKernel: tfl.LayerVariable | null;
}

/** A SeparableConv2D: the site is its product over the channels, which follows its depthwise convolution. */
export const SEPARABLE: LayerSite = {
  kind: 'separableConv2d',
  weights(layer) {
    const {pointwiseKernel, bias} = inside<SeparableInternals>(layer);
    return {kernel: pointwiseKernel!, bias};
  },
  operation(layer) {
    const stock = inside<SeparableInternals>(layer);
    windowOf(stock);
    return {
      get dims() {
        const [inputDim, outputDim] = stock.pointwiseKernel!.shape.slice(-2) as [number, number];
        return {inputDim, outputDim};
      },
      get frozen() {
        const kernel = stock.pointwiseKernel!.read();
        return {
          kernel: tf.reshape(kernel, kernel.shape.slice(-2) as [number, number]) as tf.Tensor2D,
          ...vectorOf(stock.bias),
        };
      },
      get activation() {
        return layerActivation(stock.activation);
      },
    };
  },
  input({layer, inputs: [x]}) {
    const stock = inside<SeparableInternals>(layer);
    const {strides, pad, dilations} = windowOf(stock);
    const image = tf.cast(x!, 'float32') as tf.Tensor4D;
    const filter = stock.depthwiseKernel!.read() as tf.Tensor4D;
    return tf.depthwiseConv2d(image, filter, strides, pad, 'NHWC', dilations);
  },
};
