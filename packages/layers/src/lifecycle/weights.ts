import type * as tfl from '@tensorflow/tfjs-layers';
import type {BaseWeight, FileLayer, FileSite} from '../io/adapter-file.js';
import {hashWeights} from '../io/hash.js';
import type {Located} from '../upgrade/walk.js';
import type {ModelState, StoredAdapter} from './state.js';

/** A layer that a file has weights of, and its variables by the names that they have there. */
export interface LayerVariables<F extends FileLayer> {
  file: F;
  variables: Map<string, tfl.LayerVariable>;
}

/** The sites of an adapter and their variables, in the order of the model. */
export function siteVariables(
  state: ModelState,
  name: string,
  adapter: StoredAdapter,
): LayerVariables<FileSite>[] {
  return [...adapter.sites.keys()].map((path) => {
    const layer = state.site(path);
    const variables = layer.adapterWeights(name);
    const {inputDim, outputDim} = layer.dims;
    const file: FileSite = {
      name: path,
      kind: layer.kind,
      shape: [inputDim, outputDim],
      weights: describe(variables),
    };
    return {file, variables};
  });
}

/** Layers that are trained in full, and their variables. */
export function trainedVariables(layers: readonly Located[]): LayerVariables<FileLayer>[] {
  return layers.map(({path, layer}) => {
    const variables = new Map<string, tfl.LayerVariable>();
    for (const variable of layer.weights) {
      const name = leafName(variable);
      // Both directions of an RNN have weights of the same names.
      let free = name;
      for (let copy = 2; variables.has(free); copy++) free = `${name}_${copy}`;
      variables.set(free, variable);
    }
    return {file: {name: path, weights: describe(variables)}, variables};
  });
}

/** Names, shapes and hashes of the model's frozen weights, save those of some layers that were trained in full. */
export async function baseWeights(
  state: ModelState,
  trained: readonly FileLayer[],
): Promise<{sha256: string; weights: BaseWeight[]}> {
  const left = new Set(trained.map(({name}) => name));
  const frozen = state.layers.filter(({path}) => !left.has(path));
  return hashWeights(
    frozen.flatMap(({path, layer}) =>
      (state.isSite(layer)?.base ?? layer.weights).map((variable) => ({
        name: `${path}.${leafName(variable)}`,
        shape: variable.shape as number[],
        read: () => variable.read().data(),
      })),
    ),
  );
}

function describe(variables: ReadonlyMap<string, tfl.LayerVariable>): FileLayer['weights'] {
  return [...variables].map(([name, {shape}]) => ({name, shape: [...shape] as number[]}));
}

/** A variable's name without its layer's. */
function leafName({originalName}: tfl.LayerVariable): string {
  return originalName.slice(originalName.lastIndexOf('/') + 1);
}
