import type * as tfl from '@tensorflow/tfjs-layers';
import {Registry} from '@tfjs-peft/routers';
import {convolutionSite, DEPTHWISE, TRANSPOSED} from './kinds/convolution.js';
import {DENSE} from './kinds/dense.js';
import {EMBEDDING} from './kinds/embedding.js';
import {recurrentSite} from './kinds/recurrent.js';
import {SEPARABLE} from './kinds/separable.js';
import type {LayerSite} from './layer-site.js';

const sites = new Registry<LayerSite>('site', {
  Dense: DENSE,
  Conv1D: convolutionSite('conv1d'),
  Conv2D: convolutionSite('conv2d'),
  DepthwiseConv2D: DEPTHWISE,
  SeparableConv2D: SEPARABLE,
  Conv2DTranspose: TRANSPOSED,
  Embedding: EMBEDDING,
  LSTM: recurrentSite('lstm'),
  GRU: recurrentSite('gru'),
  SimpleRNN: recurrentSite('simpleRNN'),
  RNN: recurrentSite('rnn'),
});

/**
 * Registers a layer class of your own as a site: `upgrade` can then target its layers, and layers with
 * adapters can be saved and loaded. The class itself must also be registered with tfjs, like any custom
 * layer.
 *
 * @param className The result of the layer's `getClassName()`.
 * @throws DuplicateNameError if it is a class of tfjs that is a site already.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {registerSite} from '@tfjs-peft/layers';
 *
 * // A layer with a kernel [8, 3, 4] and the output [..., 3, 4].
 * registerSite('EinsumDense', {
 *   kind: 'einsumDense',
 *   operation: (layer) => ({
 *     dims: {inputDim: 8, outputDim: 12},
 *     get frozen() {
 *       return {kernel: tf.reshape(layer.weights[0]!.read(), [8, 12]) as tf.Tensor2D};
 *     },
 *   }),
 *   finish: (y) => tf.reshape(y, [...y.shape.slice(0, -1), 3, 4]),
 * });
 * ```
 */
export function registerSite(className: string, site: LayerSite): void {
  sites.register(className, site);
}

/** Classes whose layers are sites. */
export function siteClasses(): string[] {
  return sites.types();
}

/** The site definition for this layer's class; undefined if there is none. */
export function siteOf(layer: tfl.layers.Layer): LayerSite | undefined {
  return sites.find(layer.getClassName());
}
