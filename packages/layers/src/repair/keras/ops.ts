import {own} from '../../core/io/json.js';
import {UnsupportedModelError} from '../log.js';
import {type ContainerRule, layersOf, nameOf} from './config.js';
import {keras3Nodes, tensorRef} from './tensors.js';

/** Ops of `keras.ops` between two tensors that are a layer of the same name in tfjs. */
const MERGES = new Set(['Add', 'Multiply', 'Maximum', 'Minimum']);
/** Ops of one tensor that are an activation. */
const ACTIVATIONS: Record<string, string> = {
  Relu: 'relu',
  Relu6: 'relu6',
  Sigmoid: 'sigmoid',
  Silu: 'silu',
  Softplus: 'softplus',
  Softsign: 'softsign',
  Tanh: 'tanh',
};

/**
 * A functional Keras 3 model may call functions on its tensors: `x + y` is a node `Add` with
 * two arguments instead of a list.
 */
export const convertOps: ContainerRule = (container, log) => {
  for (const layer of layersOf(container)) {
    const nodes = keras3Nodes(layer);
    const activation = own(ACTIVATIONS, layer.class_name);
    if (activation !== undefined && nodes.length > 0) {
      log('op', nameOf(layer), `the op ${layer.class_name} becomes an Activation layer.`);
      layer.class_name = 'Activation';
      layer.config.activation = activation === 'silu' ? 'swish' : activation;
    }
    if (layer.class_name === 'Concatenate' && layer.config.axis === undefined) {
      // An op says its axis where it is called, a layer in its config.
      for (const {kwargs = {}} of nodes) {
        layer.config.axis = kwargs.axis ?? 0;
        delete kwargs.axis;
        log('op', nameOf(layer), 'the op Concatenate becomes a layer of the same name.');
      }
    }
    if (!MERGES.has(layer.class_name)) continue;
    for (const node of nodes) {
      if (Array.isArray(node.args[0])) continue;
      if (!(node.args.length === 2 && node.args.every((arg) => tensorRef(arg) !== undefined))) {
        throw new UnsupportedModelError(
          `'${nameOf(layer)}' applies the op ${layer.class_name} to a constant, for which tfjs ` +
            'has no layer. Write a custom layer for it, or convert the model to a GraphModel ' +
            '(--output_format=tfjs_graph_model).',
        );
      }
      node.args = [node.args];
      log('op', nameOf(layer), `the op ${layer.class_name} of two tensors becomes a layer of the same name.`);
    }
  }
};
