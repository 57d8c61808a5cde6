import type * as tf from '@tensorflow/tfjs-core';
import {ConfigError, describe} from '@tfjs-peft/kernels';

import {listNames} from '../../core/messages.js';
import type {Layer} from '../../core/tfjs/internals.js';
import type {LocatedLayer} from '../../core/tfjs/model-map.js';

/** A layer whose calls trigger a computation, and which of its inputs the computation reads. */
interface Source {
  layer: Layer;
  values(inputs: tf.Tensor[]): tf.Tensor[];
}

/**
 * The layer and the inputs from which something is computed, for the path that names them.
 *
 * @param inputs Names of the model's inputs.
 * @throws ConfigError if there is no such layer, or an input feeds none that is called.
 */
export function sourceAt(path: unknown, layers: readonly LocatedLayer[], inputs: readonly string[]): Source {
  if (typeof path !== 'string') {
    throw new ConfigError(
      `contextFrom: path is a ${typeof path}, but must be the path of a layer, as in report(). Pass it as ` +
        'a string.',
    );
  }
  const at = layers.find((located) => located.path === path);
  if (at === undefined) {
    // tfjs lists no layer for an input that nothing in the model reads.
    if (inputs.includes(path)) throw feedsNothing(path);
    const known = listNames(layers.map((located) => located.path));
    throw new ConfigError(`contextFrom: the model has no layer ${describe(path)}. Use one of: ${known}.`);
  }
  // An input is never called, so that nothing can be computed when it is.
  const isInput = at.layer.getClassName() === 'InputLayer';
  return isInput ? consumerOf(at, layers) : {layer: at.layer, values: (given) => given};
}

/**
 * The first layer that an input of a model feeds and that is called once per batch, and which of the inputs
 * of that layer it feeds.
 *
 * @throws ConfigError if there is none.
 */
function consumerOf({layer: input, path}: LocatedLayer, layers: readonly LocatedLayer[]): Source {
  for (const {layer} of layers) {
    const [node, ...others] = layer.inboundNodes;
    if (node === undefined || others.length > 0) continue;
    const own = node.inboundLayers.map((source) => source === input);
    if (own.includes(true)) return {layer, values: (inputs) => inputs.filter((_, i) => own[i])};
  }
  throw feedsNothing(path);
}

function feedsNothing(path: string): ConfigError {
  return new ConfigError(
    `contextFrom: the input '${path}' feeds no layer that is called once per batch, so its values are not ` +
      'seen. ' +
      'Pass it through a separate layer, such as tf.layers.reshape, before the outputs, and give the path ' +
      'of that layer.',
  );
}
