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

/** How layers of one class are sites. */
export interface LayerSite {
  /** What reports call it, such as `conv2d`. */
  kind: string;
  /**
   * The frozen operation of a layer. It is asked for weights and widths only once the layer is built.
   *
   * @throws UnsupportedSiteError if this layer has options under which it cannot carry an adapter.
   */
  operation(layer: tfl.layers.Layer): Operation;
  /** The operation's input, of a call. Default: the first input, as float32. */
  input?(call: LayerCall): tf.Tensor;
  /** The mask of what routers see. Default: the one that tfjs-layers passes. */
  mask?(call: LayerCall): tf.Tensor | undefined;
  /** What the layer gives, of the operation's adapted output. Default: that output. */
  finish?(output: tf.Tensor, call: LayerCall): tf.Tensor | tf.Tensor[];
}
