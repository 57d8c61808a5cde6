import {UnsupportedModelError} from '../log.js';
import {
  type ContainerRule,
  isContainer,
  type LayerConfig,
  layersOf,
  nameOf,
  type TensorRef,
} from './config.js';
import {isKeras3Node, type Keras3Node, tensorsIn} from './tensors.js';

/** Keyword arguments that say how a layer is called; `null` and `false` are what tfjs does by default. */
const QUIET: ReadonlySet<unknown> = new Set([null, undefined, false]);

/**
 * How Keras 3 joins the layers of a functional model, in the form of Keras 2: calls as lists of
 * `[layer, node, tensor, kwargs]`, and models inside counted from 1, as tfjs does, whose models have a node
 * of their own before anyone calls them (tfjs#8489).
 */
export const convertNodes: ContainerRule = (container, log) => {
  const {config} = container;
  if (Array.isArray(config)) return;
  const layers = layersOf(container);
  const modern = layers.some((layer) => (layer.inbound_nodes ?? []).some(isKeras3Node));
  const models = new Set(layers.filter(isContainer).map(nameOf));
  const ref = ([name, node, tensor]: TensorRef): TensorRef => [
    name,
    modern && models.has(name) ? node + 1 : node,
    tensor,
  ];
  if (modern) {
    for (const layer of layers) {
      layer.inbound_nodes = (layer.inbound_nodes ?? []).map((node) =>
        isKeras3Node(node) ? convert(layer, node, ref) : node,
      );
    }
    log(
      'inbound-nodes',
      nameOf(container),
      'calls of its layers become lists, and calls of models inside it are counted from 1.',
    );
  }
  for (const key of ['input_layers', 'output_layers']) {
    const value = config[key];
    if (value === undefined || value === null) continue;
    const refs = endpoints(value);
    config[key] = refs.map(ref);
    if (isRef(value)) log('endpoints', nameOf(container), `${key} becomes a list of one tensor.`);
  }
};

function convert(layer: LayerConfig, node: Keras3Node, ref: (ref: TensorRef) => TensorRef): unknown[] {
  const {args, kwargs = {}} = node;
  const tensors = tensorsIn(args[0]);
  const extra = [...args.slice(1), ...Object.values(kwargs)];
  if (tensors.length === 0 || extra.some((value) => tensorsIn(value).length > 0)) {
    throw new UnsupportedModelError(
      `Layer '${nameOf(layer)}' (${layer.class_name}) is called with tensors for ` +
        `${Object.keys(kwargs).join(', ') || 'several arguments'}, which a LayersModel cannot ` +
        'express. Convert the model to a GraphModel (--output_format=tfjs_graph_model), which ' +
        'normalizeArtifacts and upgrade also accept.',
    );
  }
  const said = Object.entries(kwargs).filter(([, value]) => !QUIET.has(value));
  if (args.length > 1 || said.length > 0) {
    throw new UnsupportedModelError(
      `Layer '${nameOf(layer)}' (${layer.class_name}) is called with ` +
        `${JSON.stringify([...args.slice(1), Object.fromEntries(said)])}, which tfjs ignores. ` +
        'Move these arguments into the layer itself, or convert the model to a GraphModel ' +
        '(--output_format=tfjs_graph_model).',
    );
  }
  return tensors.map((tensor) => [...ref(tensor), {}]);
}

function isRef(value: unknown): value is TensorRef {
  return Array.isArray(value) && value.length === 3 && typeof value[0] === 'string';
}

/** One reference, a list of them, or a dictionary of them by name. */
export function endpoints(value: unknown): TensorRef[] {
  if (isRef(value)) return [value];
  return Object.values(value as Record<string, unknown>).flatMap(endpoints);
}
