import {shared} from '@tfjs-peft/kernels';
import {
  type BidirectionalInternals,
  type Container,
  inside,
  internals,
  isBidirectional,
  isContainer,
  type Layer,
} from '../../core/tfjs/internals.js';

/** What each Bidirectional was made of. */
const templates = shared('layers.templates', () => new WeakMap<Layer, Layer>());

/**
 * Puts one layer in another's place, behind the same symbolic tensors, so that the models around it stay the
 * user's own objects. The executor follows `sourceLayer` of the tensors; saving, summaries and weight lists
 * follow the containers' lists.
 *
 * The two layers share their lists of graph nodes: a use that is added later counts
 * for whichever of them is in place.
 *
 * @param containers All models that may list the layer.
 */
export function replaceLayer(from: Layer, to: Layer, holder: Layer, containers: readonly Container[]): void {
  const source = internals(from);
  const target = internals(to);
  target.inboundNodes = source.inboundNodes;
  target.outboundNodes = source.outboundNodes;
  target._refCount = source._refCount;

  for (const node of source.inboundNodes) {
    node.outboundLayer = to;
    for (const tensor of node.outputTensors) tensor.sourceLayer = to;
  }
  for (const node of source.outboundNodes) replaceIn(node.inboundLayers, from, to);
  for (const container of containers) {
    replaceIn(container.layers, from, to);
    replaceIn(container.inputLayers, from, to);
    replaceIn(container.outputLayers, from, to);
    for (const layers of Object.values(container.layersByDepth)) replaceIn(layers, from, to);
  }
  if (isBidirectional(holder)) replaceDirection(holder, from, to);
  else if (!isContainer(holder)) inside<{layer: Layer}>(holder).layer = to;
}

function replaceIn(layers: Layer[], from: Layer, to: Layer): void {
  for (let i = 0; i < layers.length; i++) if (layers[i] === from) layers[i] = to;
}

/**
 * A Bidirectional is saved by the config of the layer that it was made of, from
 * which both directions are made again.
 */
function replaceDirection(holder: Layer & BidirectionalInternals, from: Layer, to: Layer): void {
  const template = templates.get(holder) ?? holder.layer;
  templates.set(holder, template);
  holder[holder.forwardLayer === from ? 'forwardLayer' : 'backwardLayer'] = to;
  const {forwardLayer, backwardLayer} = holder;
  const directions = [forwardLayer, backwardLayer];
  holder.layer = directions.every((layer) => layer.getClassName() === template.getClassName())
    ? template
    : (Object.create(forwardLayer, {
        getConfig: {value: () => ({...forwardLayer.getConfig(), name: template.name})},
        losses: {get: () => directions.flatMap(({losses}) => losses)},
      }) as Layer);
}
