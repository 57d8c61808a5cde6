import {UnsupportedModelError} from '../log.js';
import {isLayerConfig, type LayerConfig, type LayerRule, nameOf} from './config.js';

/** What a GRU's config says of the layer around its cell. */
const AROUND_THE_CELL = [
  'name',
  'trainable',
  'dtype',
  'batch_input_shape',
  'return_sequences',
  'return_state',
  'go_backwards',
  'stateful',
  'unroll',
];

const OF_THE_CELL = ['units', 'activation', 'recurrent_activation', 'use_bias'];

/** Recurrent layers whose Keras default tfjs does not have, and wrappers that say more than tfjs reads. */
export const recurrent: LayerRule = (layer, log) => {
  if (layer.config.time_major === true) {
    throw new UnsupportedModelError(
      `Layer '${nameOf(layer)}' (${layer.class_name}) has time_major=True, which tfjs ignores. ` +
        'Save the model with time_major=False.',
    );
  }
  if (layer.class_name === 'GRU' && layer.config.reset_after === true) {
    const {name, config} = resetAfterGru(layer);
    layer.class_name = name;
    layer.config = config;
    log(
      'gru',
      nameOf(layer),
      'GRU with reset_after, which tfjs lacks, becomes an RNN with ResetAfterGRUCell.',
    );
  }
  if (layer.class_name === 'Bidirectional') oneLayerBothWays(layer);
};

function resetAfterGru(layer: LayerConfig): {name: string; config: Record<string, unknown>} {
  const {config} = layer;
  if (Number(config.dropout ?? 0) > 0 || Number(config.recurrent_dropout ?? 0) > 0) {
    throw new UnsupportedModelError(
      `Layer '${nameOf(layer)}' (GRU) has reset_after with dropout inside its cell, which tfjs ` +
        'does not support. Put a Dropout layer in front of the GRU instead, or train it with ' +
        'reset_after=False.',
    );
  }
  const pick = (keys: readonly string[]) =>
    Object.fromEntries(keys.filter((key) => config[key] !== undefined).map((key) => [key, config[key]]));
  const cell = {
    class_name: 'PeftResetAfterGRUCell',
    config: {name: `${nameOf(layer)}_cell`, ...pick(OF_THE_CELL)},
  };
  return {name: 'RNN', config: {...pick(AROUND_THE_CELL), cell}};
}

/** Settings in which two layers count as the same may still differ. */
const OWN = new Set(['name', 'go_backwards', 'seed', 'shared_object_id', 'build_config']);

/** tfjs makes the backward layer from the forward one; a file may describe another. */
function oneLayerBothWays(layer: LayerConfig): void {
  const {layer: forward, backward_layer: backward} = layer.config;
  if (!isLayerConfig(forward) || !isLayerConfig(backward)) return;
  const settings = (of: LayerConfig) =>
    JSON.stringify([of.class_name, of.config], (key, value) => (OWN.has(key) ? undefined : value));
  if (settings(forward) !== settings(backward)) {
    throw new UnsupportedModelError(
      `Layer '${nameOf(layer)}' (Bidirectional) has a backward layer with other settings than ` +
        'its forward layer, which tfjs ignores. Give both the same settings, or convert the ' +
        'model to a GraphModel (--output_format=tfjs_graph_model).',
    );
  }
  delete layer.config.backward_layer;
}
