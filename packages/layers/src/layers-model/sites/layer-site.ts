import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import type {Operation} from '../../core/sites/operation.js';

/** One call of a layer. */
export interface LayerCall {
  /** The stock layer. */
  layer: tfl.layers.Layer;
  inputs: tf.Tensor[];
  kwargs: Record<string, unknown>;
  training: boolean;
}

/** Where a layer has the frozen weights of its operation. */
export interface SiteWeights {
  kernel: tfl.LayerVariable;
  bias?: tfl.LayerVariable | null | undefined;
  /** The weight with a kernel matrix [inputDim, outputDim]. Default: that matrix in the weight's shape. */
  toKernel?(matrix: tf.Tensor2D): tf.Tensor;
  /** The weight with a bias [outputDim]. Default: that bias. */
  toBias?(bias: tf.Tensor1D): tf.Tensor;
}

/** Defines how layers of one class are sites. */
export interface LayerSite {
  /** Its name in reports, such as `conv2d`. */
  kind: string;
  /**
   * The frozen operation of a layer. Its weights and widths are read only after the layer is built.
   *
   * @throws UnsupportedSiteError if the options of this layer do not allow adapters.
   */
  operation(layer: tfl.layers.Layer): Operation;
  /**
   * The weight [inputDim, outputDim] that is the operation's kernel as it is, if the layer is nothing but the
   * operation: a plain product, or a lookup. Only such layers can be quantised.
   */
  matrix?(layer: tfl.layers.Layer): tfl.LayerVariable;
  /** The weights that hold the operation's frozen ones. Without it, no adapter can be merged here. */
  weights?(layer: tfl.layers.Layer): SiteWeights;
  /** Returns the operation's input for a call. Default: the first input, as float32. */
  input?(call: LayerCall): tf.Tensor;
  /** Returns the mask of the routers' input. Default: the mask that tfjs-layers passes. */
  mask?(call: LayerCall): tf.Tensor | undefined;
  /** Returns the layer's output from the operation's adapted output. Default: that output. */
  finish?(output: tf.Tensor, call: LayerCall): tf.Tensor | tf.Tensor[];
}
