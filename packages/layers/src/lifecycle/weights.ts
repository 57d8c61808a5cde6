import type * as tfl from '@tensorflow/tfjs-layers';
import type {SiteDims} from '../adapters/adapter.js';
import type {BaseWeight, FileLayer, FileSite} from '../io/adapter-file.js';
import {hashWeights} from '../io/hash.js';
import type {Located} from '../upgrade/walk.js';
import type {AdaptedModel, PlaceVariables} from './adapted-model.js';

/** A site and its variables by the names that its adapter gives them, as a file describes them. */
export function siteVariables(
  name: string,
  {kind, dims}: {kind: string; dims: SiteDims},
  variables: PlaceVariables['variables'],
): PlaceVariables<FileSite> {
  const shape: [number, number] = [dims.inputDim, dims.outputDim];
  return {file: {name, kind, shape, weights: describe(variables)}, variables};
}

/** A layer and its variables. */
export function layerVariables({path, layer}: Located): PlaceVariables {
  const variables: PlaceVariables['variables'] = new Map();
  for (const variable of layer.weights) {
    const name = leafName(variable);
    // Both directions of an RNN have weights of the same names.
    let free = name;
    for (let copy = 2; variables.has(free); copy++) free = `${name}_${copy}`;
    variables.set(free, variable);
  }
  return {file: {name: path, weights: describe(variables)}, variables};
}

/** Names, shapes and hashes of the model's frozen weights, save those of some places that were trained in full. */
export async function baseWeights(
  state: AdaptedModel,
  trained: readonly FileLayer[],
): Promise<{sha256: string; weights: BaseWeight[]}> {
  return hashWeights(state.frozenWeights(new Set(trained.map(({name}) => name))));
}

function describe(variables: PlaceVariables['variables']): FileLayer['weights'] {
  return [...variables].map(([name, {shape}]) => ({name, shape: [...shape] as number[]}));
}

/** Whether a variable is disposed, so that it cannot be read. */
export function isGone(variable: Pick<tfl.LayerVariable, 'read'>): boolean {
  try {
    return variable.read().isDisposed;
  } catch {
    // A weight of tfjs-layers refuses to be read then.
    return true;
  }
}

/** A variable's name without its layer's. */
export function leafName({originalName}: tfl.LayerVariable): string {
  return originalName.slice(originalName.lastIndexOf('/') + 1);
}
