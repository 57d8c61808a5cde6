import type * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import type {Layer} from '../upgrade/internals.js';
import type {Located} from '../upgrade/walk.js';

/** An input of a model is never called, so that nothing can be computed when it is. */
export function isInput(layer: Layer): boolean {
  return layer.getClassName() === 'InputLayer';
}

/**
 * The first layer of a model that an input feeds and that is called once a batch, and which of that layer's inputs are the input's.
 *
 * @throws ConfigError if there is none.
 */
export function consumerOf(
  {layer: input, path}: Located,
  layers: readonly Located[],
): {layer: Layer; values(inputs: tf.Tensor[]): tf.Tensor[]} {
  for (const {layer} of layers) {
    const [node, ...others] = layer.inboundNodes;
    if (node === undefined || others.length > 0) continue;
    const own = node.inboundLayers.map((source) => source === input);
    if (own.includes(true)) return {layer, values: (inputs) => inputs.filter((_, i) => own[i])};
  }
  throw feedsNothing(path);
}

export function feedsNothing(path: string): ConfigError {
  return new ConfigError(
    `contextFrom: the input '${path}' feeds no layer that is called by itself, once a batch, so that its values are not seen. ` +
      'Lead it through a layer of its own, such as tf.layers.reshape, on the way to the outputs, and give the path of that layer.',
  );
}
