import {UnsupportedModelError} from '../log.js';
import {everyLayer, type LayerConfig, type LayerRule, nameOf} from './config.js';

const KEYS = ['activation', 'recurrent_activation'];
const RENAMED: Record<string, string> = {silu: 'swish'};
const KNOWN = new Set([
  'elu',
  'gelu',
  'gelu_new',
  'hard_sigmoid',
  'linear',
  'log_softmax',
  'mish',
  'relu',
  'relu6',
  'selu',
  'sigmoid',
  'softmax',
  'softplus',
  'softsign',
  'swish',
  'tanh',
]);

/**
 * Activations that tfjs knows by another name, and those that it does not know:
 * an error of ours names the layer.
 */
export const activations: LayerRule = (layer, log) => {
  const {config} = layer;
  for (const key of KEYS) {
    const value = config[key];
    if (value === null || value === undefined) continue;
    const name = activationName(value);
    if (name === undefined || !(KNOWN.has(name) || Object.hasOwn(RENAMED, name))) {
      throw new UnsupportedModelError(
        `Layer '${nameOf(layer)}' (${layer.class_name}) has the ${key} ` +
          `${name ? `'${name}'` : JSON.stringify(value)}, which tfjs lacks. Set it to 'linear' ` +
          'and add a custom layer that computes the activation (tf.serialization.registerClass), ' +
          'or convert the model to a GraphModel (--output_format=tfjs_graph_model), which ' +
          'normalizeArtifacts and upgrade also accept.',
      );
    }
    const known = RENAMED[name] ?? name;
    if (known !== value) log('activation', nameOf(layer), `${key} '${name}' becomes '${known}'.`);
    config[key] = known;
  }
};

function activationName(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  // Keras 3 writes a function as an object, its own ones by name.
  const {class_name, config} = value as {class_name?: unknown; config?: unknown};
  return class_name === 'function' && typeof config === 'string' ? config : undefined;
}

/**
 * Keras 3 gave a name another function: its `hard_sigmoid` is relu6(x + 3) / 6, that
 * of Keras 2 and tfjs 0.2 x + 0.5.
 *
 * @throws UnsupportedModelError naming the layer.
 */
export function refuseOtherMeanings(model: LayerConfig): void {
  for (const {layer} of everyLayer(model)) {
    const key = KEYS.find((each) => layer.config[each] === 'hard_sigmoid');
    if (key === undefined) continue;
    throw new UnsupportedModelError(
      `Layer '${nameOf(layer)}' (${layer.class_name}) has the ${key} 'hard_sigmoid' of Keras ` +
        "3, which tfjs defines differently. Train the model with 'sigmoid', or convert the model " +
        'to a GraphModel (--output_format=tfjs_graph_model).',
    );
  }
}
