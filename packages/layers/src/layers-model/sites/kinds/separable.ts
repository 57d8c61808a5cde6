import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {layerActivation} from '../../../core/sites/activation.js';
import type {LayerSite} from '../layer-site.js';
import {type ConvolutionInternals, windowOf} from './convolution.js';
import {vectorOf} from './dense.js';

/** The private fields of a stock SeparableConv2D that sites read. */
interface SeparableInternals extends ConvolutionInternals {
  readonly depthwiseKernel: tfl.LayerVariable | null;
  /** [1, 1, channels · multiplier, filters]. */
  readonly pointwiseKernel: tfl.LayerVariable | null;
}

/** A SeparableConv2D: the site is its product over the channels, of what its depthwise convolution gives. */
export const SEPARABLE: LayerSite = {
  kind: 'separableConv2d',
  operation(layer) {
    const inside = layer as unknown as SeparableInternals;
    windowOf(inside);
    return {
      get dims() {
        const [inputDim, outputDim] = inside.pointwiseKernel!.shape.slice(-2) as [number, number];
        return {inputDim, outputDim};
      },
      get frozen() {
        const kernel = inside.pointwiseKernel!.read();
        return {
          kernel: tf.reshape(kernel, kernel.shape.slice(-2) as [number, number]) as tf.Tensor2D,
          ...vectorOf(inside.bias),
        };
      },
      get activation() {
        return layerActivation(inside.activation);
      },
    };
  },
  input({layer, inputs: [x]}) {
    const inside = layer as unknown as SeparableInternals;
    const {strides, pad, dilations} = windowOf(inside);
    const image = tf.cast(x!, 'float32') as tf.Tensor4D;
    const filter = inside.depthwiseKernel!.read() as tf.Tensor4D;
    return tf.depthwiseConv2d(image, filter, strides, pad, 'NHWC', dilations);
  },
};
