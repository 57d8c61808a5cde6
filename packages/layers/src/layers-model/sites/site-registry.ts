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
 * Makes layers of a class of your own sites: `upgrade` then takes them as targets, and a layer with adapters can be saved and loaded
 * (the class itself must be registered with tfjs too, as any custom layer must).
 *
 * ```ts
 * registerSite('EinsumDense', {
 *   kind: 'einsumDense',
 *   operation: (layer) => ({
 *     get dims() { return {inputDim: 8, outputDim: 12}; },
 *     get frozen() { return {kernel: layer.weights[0].read().reshape([8, 12])}; },
 *   }),
 *   finish: (y) => tf.reshape(y, [...y.shape.slice(0, -1), 3, 4]),
 * });
 * ```
 *
 * @param className What the layer's `getClassName()` gives.
 * @throws DuplicateNameError if it is one of tfjs's own classes that are sites already.
 */
export function registerSite(className: string, site: LayerSite): void {
  sites.register(className, site);
}

/** Classes whose layers are sites. */
export function siteClasses(): string[] {
  return sites.types();
}

/** How layers of this layer's class are sites; undefined if they are not. */
export function siteOf(layer: tfl.layers.Layer): LayerSite | undefined {
  return sites.find(layer.getClassName());
}
