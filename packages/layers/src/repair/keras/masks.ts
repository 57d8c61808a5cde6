import {UnsupportedModelError} from '../log.js';
import {type ContainerRule, type LayerConfig, layersOf, nameOf, type TensorRef} from './config.js';
import {endpoints} from './functional.js';
import {type Keras3Node, keras3Nodes, sameTensor, tensorRef, tensorsIn} from './tensors.js';

/** Ops by which Keras 3 writes the mask that an Embedding or Masking layer makes. */
const MASK_OPS = new Set(['NotEqual', 'Any']);

/**
 * Keras 3 writes a mask as nodes of its own (`NotEqual` of the tokens and 0) and passes it to every layer by
 * a keyword. tfjs computes the same mask from the Embedding's `mask_zero` and passes it on by itself. So
 * nodes and keywords are removed, after a check that tfjs computes exactly the same mask.
 */
export const dropMasks: ContainerRule = (container, log) => {
  const layers = layersOf(container);
  const byName = new Map(layers.map((layer) => [nameOf(layer), layer]));
  const masks = new Map<string, TensorRef>();
  for (const layer of layers) {
    const root = MASK_OPS.has(layer.class_name) ? rootOf(layer, byName) : undefined;
    if (root !== undefined) masks.set(nameOf(layer), root);
  }
  // A tensor that any layer reads as data is not a mask.
  for (const [name] of endpoints(container.config.output_layers ?? [])) masks.delete(name);
  for (const layer of layers) {
    for (const {args, kwargs = {}} of keras3Nodes(layer)) {
      if (!masks.has(nameOf(layer)))
        for (const [name] of tensorsIn(args)) if (masks.has(name)) masks.delete(name);
      const mask = tensorRef(kwargs.mask);
      const root = mask && masks.get(mask[0]);
      if (root !== undefined) requireSameMask(layer, args, root, byName);
    }
  }
  for (const layer of layers) {
    for (const node of keras3Nodes(layer)) dropKeyword(node, masks);
  }
  for (const name of masks.keys()) {
    layers.splice(layers.indexOf(byName.get(name)!), 1);
    log('mask', name, 'it is removed, because tfjs computes and passes on the same mask by itself.');
  }
};

function dropKeyword(node: Keras3Node, masks: ReadonlyMap<string, TensorRef>): void {
  const mask = tensorRef(node.kwargs?.mask);
  if (node.kwargs && mask && masks.has(mask[0])) node.kwargs.mask = null;
}

/** The tensor that a chain of mask ops looks at. */
function rootOf(op: LayerConfig, byName: ReadonlyMap<string, LayerConfig>): TensorRef | undefined {
  const ref = tensorRef(keras3Nodes(op)[0]?.args[0]);
  const before = ref && byName.get(ref[0]);
  if (ref === undefined || before === undefined) return undefined;
  return MASK_OPS.has(before.class_name) ? rootOf(before, byName) : ref;
}

/** Goes up from a masked layer to the layer that makes a mask of the same tensor. */
function requireSameMask(
  layer: LayerConfig,
  args: unknown[],
  root: TensorRef,
  byName: ReadonlyMap<string, LayerConfig>,
): void {
  const seen = new Set<string>();
  const pending = tensorsIn(args);
  for (let ref = pending.pop(); ref !== undefined; ref = pending.pop()) {
    const source = byName.get(ref[0]);
    if (source === undefined || seen.has(ref[0])) continue;
    seen.add(ref[0]);
    const inputs = keras3Nodes(source).flatMap((node) => tensorsIn(node.args));
    const makesMask =
      (source.class_name === 'Embedding' && source.config.mask_zero === true) ||
      source.class_name === 'Masking';
    if (makesMask && inputs.some((input) => sameTensor(input, root))) return;
    pending.push(...inputs);
  }
  throw new UnsupportedModelError(
    `Layer '${nameOf(layer)}' (${layer.class_name}) takes a mask of '${root[0]}', but no ` +
      'Embedding with mask_zero and no Masking layer before it computes that mask, so tfjs does ' +
      'not either. Compute the mask with one of these layers, or convert the model to a ' +
      'GraphModel (--output_format=tfjs_graph_model).',
  );
}
