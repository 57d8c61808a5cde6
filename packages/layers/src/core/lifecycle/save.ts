import {ConfigError} from '@tfjs-peft/kernels';
import {type StoredFile, sharedKey, type WeightValues, weightKey} from '../io/adapter-file.js';
import {digest} from '../io/storage.js';
import type {AdaptedModel} from './adapted-model.js';
import {baseWeights, isGone} from './weights.js';

/** The adapter and its weights, in the form of a file. */
export async function toStored(state: AdaptedModel, name: string): Promise<StoredFile> {
  const adapter = state.adapters.get(name)!;
  const sites = state.siteVariables(name);
  if (sites.length === 0) {
    throw new ConfigError(
      `Adapter '${name}' cannot be saved: the model no longer has any of its layers. ` +
        'Add them again, or remove the adapter.',
    );
  }
  const trained = state.trainedVariables(name);
  const gone = [...sites, ...trained].find(({variables}) => [...variables.values()].some(isGone));
  if (gone !== undefined) {
    throw new ConfigError(
      `The weights of '${gone.file.name}' are disposed. Save the adapter before you dispose its layers or ` +
        'heads.',
    );
  }
  // All reads start at once, before anything can change the weights.
  const reads = [...sites, ...trained].flatMap(({file, variables}) =>
    [...variables].map(async ([weight, variable]): Promise<[string, WeightValues]> => {
      const values = (await variable.read().data()) as Float32Array;
      return [
        weightKey(file.name, weight),
        {shape: variable.shape as number[], values: new Float32Array(values)},
      ];
    }),
  );
  const weights = new Map(await Promise.all(reads));
  if (weights.size < reads.length) {
    throw new ConfigError(
      'Two weights would have the same key in the file, because the name of a layer is the path of a ' +
        'weight. Rename that layer.',
    );
  }
  for (const {name: weight, shape, saved} of adapter.shared) {
    // Any site has the values of the whole.
    if (saved) weights.set(sharedKey(weight), {shape, values: sites[0]!.shared.get(weight)!.values()});
  }
  const main = JSON.stringify(adapter.config);
  const overrides = [...adapter.sites].filter(([, config]) => JSON.stringify(config) !== main);
  return {
    weights,
    file: {
      format: 'tfjs-peft',
      schema: 1,
      name,
      adapter: adapter.config,
      overrides: overrides.map(([site, adapter]) => ({site, adapter})),
      sites: sites.map(({file}) => file),
      ...(adapter.shared.length > 0 && {shared: adapter.shared}),
      trained: trained.map(({file}) => file),
      base: await baseWeights(
        state,
        trained.map(({file}) => file),
      ),
      weightsSha256: await digest(weights),
    },
  };
}
