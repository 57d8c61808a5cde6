import type * as tfl from '@tensorflow/tfjs-layers';
import {
  type Container,
  internals,
  isContainer,
  type Layer,
  type LayerUse,
} from '../../core/tfjs/internals.js';

interface UseOfTensors extends LayerUse {
  inputTensors: tfl.SymbolicTensor[];
}

/**
 * The layers with weights that give a model's outputs: by themselves, or through layers
 * without weights that take nothing else, such as an activation. Nested models and the layer
 * inside of a TimeDistributed are entered.
 */
export function outputLayers(model: tfl.LayersModel): ReadonlySet<Layer> {
  const found = new Set<Layer>();
  const visit = (tensor: tfl.SymbolicTensor | undefined): void => {
    if (tensor === undefined) return;
    const {sourceLayer: layer, nodeIndex, tensorIndex} = tensor;
    if (isContainer(layer)) {
      visit(outputsOf(layer)[tensorIndex]);
      return;
    }
    if (layer.weights.length > 0) {
      found.add(layer);
      const {layer: wrapped} = layer as {layer?: Layer};
      if (layer.getClassName() === 'TimeDistributed' && wrapped !== undefined) found.add(wrapped);
      return;
    }
    const use = internals(layer).inboundNodes[nodeIndex] as UseOfTensors | undefined;
    if (use?.inboundLayers.length === 1) visit(use.inputTensors[0]);
  };
  for (const tensor of outputsOf(model as unknown as Container)) visit(tensor);
  return found;
}

function outputsOf(container: Container): tfl.SymbolicTensor[] {
  return (container as unknown as Pick<tfl.LayersModel, 'outputs'>).outputs ?? [];
}
