import {UnsupportedModelError} from '../log.js';
import {type ContainerRule, type LayerConfig, layersOf, nameOf, wrappedIn} from './config.js';

/**
 * A causal Conv1D loads and fails when it predicts. It equals a valid convolution of the steps with zeros in
 * front, which a layer of ours adds.
 */
export const causalConvolutions: ContainerRule = (container, log) => {
  const layers = layersOf(container);
  for (const layer of layers.slice()) {
    const wrapped = wrappedIn(layer);
    if (wrapped !== undefined && isCausal(wrapped)) {
      throw new UnsupportedModelError(
        `Layer '${nameOf(layer)}' (${layer.class_name}) wraps the causal Conv1D ` +
          `'${nameOf(wrapped)}', which tfjs cannot compute. Put a ZeroPadding1D layer in front ` +
          "of the wrapper and give the Conv1D padding='valid'.",
      );
    }
    if (!isCausal(layer)) continue;
    const padding = paddingFor(layer, layers);
    layers.splice(layers.indexOf(layer), 0, padding);
    layer.config.padding = 'valid';
    delete layer.config.batch_input_shape;
    // Each call of the convolution becomes a call of the padding; both are counted in the same way.
    if (layer.inbound_nodes !== undefined)
      layer.inbound_nodes = layer.inbound_nodes.map((_, i) => [[nameOf(padding), i, 0, {}]]);
    log(
      'causal',
      nameOf(layer),
      `padding 'causal' becomes the layer '${nameOf(padding)}' in front of it and padding 'valid'.`,
    );
  }
};

function isCausal({class_name, config}: LayerConfig): boolean {
  return class_name === 'Conv1D' && config.padding === 'causal';
}

function paddingFor(layer: LayerConfig, layers: readonly LayerConfig[]): LayerConfig {
  const {kernel_size, dilation_rate, data_format, batch_input_shape} = layer.config;
  if (data_format === 'channels_first') {
    throw new UnsupportedModelError(
      `Layer '${nameOf(layer)}' (Conv1D) is causal with data_format 'channels_first', which ` +
        "tfjs cannot compute. Save the model with data_format='channels_last'.",
    );
  }
  const taken = new Set(layers.map(nameOf));
  let name = `${nameOf(layer)}_causal_padding`;
  while (taken.has(name)) name += '_';
  const before = (first(kernel_size, 1) - 1) * first(dilation_rate, 1);
  const config: Record<string, unknown> = {name, trainable: true, padding: [before, 0]};
  if (batch_input_shape !== undefined) config.batch_input_shape = batch_input_shape;
  const padding: LayerConfig = {class_name: 'PeftZeroPadding1D', config};
  if (layer.inbound_nodes !== undefined) Object.assign(padding, {name, inbound_nodes: layer.inbound_nodes});
  return padding;
}

function first(value: unknown, fallback: number): number {
  return (Array.isArray(value) ? value[0] : value) ?? fallback;
}
