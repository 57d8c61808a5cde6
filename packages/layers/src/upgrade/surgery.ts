import {type Container, internals, isContainer, type Layer} from './internals.js';

/**
 * Puts one layer in another's place, behind the same symbolic tensors, so that the models around it stay the user's own objects.
 * The executor follows `sourceLayer` of the tensors; saving, summaries and weight lists follow the containers' lists.
 *
 * The two layers share their lists of graph nodes: a use that is added later counts for whichever of them is in place.
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
  if (!isContainer(holder)) (holder as unknown as {layer: Layer}).layer = to;
}

function replaceIn(layers: Layer[], from: Layer, to: Layer): void {
  for (let i = 0; i < layers.length; i++) if (layers[i] === from) layers[i] = to;
}
