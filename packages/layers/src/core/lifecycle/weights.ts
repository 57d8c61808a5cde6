import type * as tfl from '@tensorflow/tfjs-layers';
import {keepsHalves} from '@tfjs-peft/kernels';
import type {SiteDims} from '../adapters/adapter.js';
import type {AdapterFile, FileLayer} from '../io/adapter-file.js';
import {fitsSketch, sketchOf} from '../io/sketch.js';
import {type Hashable, hashWeights, type WeightHashes} from '../io/weight-hashes.js';
import type {AdaptedSite} from '../sites/adapted-site.js';
import type {LocatedLayer} from '../tfjs/model-map.js';
import type {AdaptedModel, FileVariables, SiteVariables} from './adapted-model.js';

/** A site and an adapter's variables there by the names that it gives them, as a file describes them. */
export function siteVariables(
  name: string,
  {kind, dims, site}: {kind: string; dims: SiteDims; site: AdaptedSite},
  adapter: string,
): SiteVariables {
  const shape: [number, number] = [dims.inputDim, dims.outputDim];
  const variables = site.weightsOf(adapter);
  return {
    file: {name, kind, shape, weights: describe(variables)},
    variables,
    shared: site.sharedOf(adapter),
    useShared: (values) => site.useShared(adapter, values),
  };
}

/** A layer and its variables. */
export function layerVariables({path, layer}: LocatedLayer): FileVariables {
  const variables: FileVariables['variables'] = new Map();
  for (const variable of layer.weights) {
    const name = leafName(variable);
    // Both directions of an RNN have weights of the same names.
    let free = name;
    for (let copy = 2; variables.has(free); copy++) free = `${name}_${copy}`;
    variables.set(free, variable);
  }
  return {file: {name: path, weights: describe(variables)}, variables};
}

/**
 * Names, shapes and hashes of the model's frozen weights, save those of some
 * layers that were trained in full.
 */
export async function baseWeights(
  state: Pick<AdaptedModel, 'frozenWeights'>,
  trained: readonly FileLayer[],
): Promise<AdapterFile['base']> {
  const sketches: string[] = [];
  const hashes = await hashWeights(frozen(state, trained), (values) => sketches.push(sketchOf(values)));
  const weights = hashes.weights.map((weight, i) => ({...weight, sketch: sketches[i]!}));
  return {sha256: hashes.sha256, weights, ...(keepsHalves() && {halves: true})};
}

/**
 * The same, for comparison with a file. Where values may be rounded to halves, each weight also tells whether
 * rounding explains a difference from the file.
 */
export async function comparedWeights(
  state: Pick<AdaptedModel, 'frozenWeights'>,
  file: AdapterFile,
): Promise<WeightHashes & {halves: boolean; fits: boolean[]}> {
  const halves = keepsHalves() || file.base.halves === true;
  const fits: boolean[] = [];
  const hashes = await hashWeights(frozen(state, file.trained), (values, at) => {
    const sketch = halves ? file.base.weights[at]?.sketch : undefined;
    fits.push(sketch !== undefined && fitsSketch(values, sketch));
  });
  return {...hashes, halves, fits};
}

function frozen(state: Pick<AdaptedModel, 'frozenWeights'>, trained: readonly FileLayer[]): Hashable[] {
  return state.frozenWeights(new Set(trained.map(({name}) => name)));
}

function describe(variables: FileVariables['variables']): FileLayer['weights'] {
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
