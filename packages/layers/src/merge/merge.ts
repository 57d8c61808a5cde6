import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, checkBoolean, checkOptions, describe} from '@tfjs-peft/kernels';
import {storeModel} from '../core/io/model-folder.js';
import type {StorageLocation} from '../core/io/storage-location.js';
import type {AdaptedModel} from '../core/lifecycle/adapted-model.js';
import {together} from '../core/lifecycle/exchanged.js';
import {PeftHandle} from '../core/lifecycle/handle.js';
import {checkPlace, type MergeableSite, mergerOf} from '../core/lifecycle/mergeable.js';
import type {AnyPeft, SaveOptions} from '../core/lifecycle/peft.js';
import {type Merged, mergeSite} from '../core/sites/merge.js';

/** Options of {@link merge}. */
export interface MergeOptions {
  /** Name of the adapter. Default: the active one, or else the last that was. */
  name?: string;
  /**
   * Merge for good: the model keeps the merged weights, and all its adapters are removed, as by
   * `peft.detach`. The weights of before are let go. Default false.
   */
  detach?: boolean;
}

/**
 * Works an adapter into the frozen weights of its model, in place: the model runs as fast as without an
 * adapter, and `getWeights` and `save` see the merged weights. The weights of before are kept until {@link
 * unmerge} brings them back. Until then the adapters cannot be changed, trained or saved. What the adapter
 * trains in full takes the base's place too; heads of a trainer stay with the trainer.
 *
 * Merging is exact, up to rounding, for adapters that change the weights alone: LoRA, LoRA-FA, DoRA, VeRA,
 * (IA)³ and MoV at a linear site, and mixtures whose gates do not depend on the input, such as those of the
 * router `fixed`. Everything is checked before the model changes; weights that are not finite are refused.
 *
 * @returns The paths of the layers or nodes.
 * @throws UnsupportedSiteError if merging is not exact at a site, a weight is quantised, or other nodes of a
 * graph read it; ConfigError if no adapter has that name, one is merged already, or the model is being
 * trained. The model is then unchanged.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {upgrade} from '@tfjs-peft/layers';
 * import {merge, unmerge} from '@tfjs-peft/layers/merge';
 *
 * const model = tf.sequential({layers: [tf.layers.dense({name: 'hidden', units: 8, inputShape: [16]})]});
 * const peft = await upgrade(model, {targets: ['hidden'], adapter: {type: 'lora', rank: 2}});
 * const layers = await merge(peft); // ['hidden']
 * await unmerge(peft);
 * ```
 */
export async function merge(peft: AnyPeft, options: MergeOptions = {}): Promise<string[]> {
  const handle = handleOf('merge', peft);
  return handle.inTurn(async () => {
    const {name: wanted, detach} = checkOptions('merge', options, ['name', 'detach']);
    const forGood = checkBoolean('merge', 'detach', detach, false);
    handle.changing();
    return withMerged(handle, 'merge', wanted, (state, sites, merged) => {
      for (const site of sites) checkPlace(site, merged.get(site.path)!);
      handle.changing();
      const name = state.active!;
      const trained = mergerOf(state).trained(state);
      state.activate(null);
      const exchanged = together([trained(), ...sites.map((site) => site.exchange(merged.get(site.path)!))]);
      state.merged = {name, exchanged};
      if (forGood) {
        state.merged = undefined;
        handle.detach();
        exchanged.release();
      }
      return sites.map(({path}) => path);
    });
  });
}

/**
 * Takes a merged adapter out of the frozen weights again, which are then what they were, bit for bit, and
 * makes it the active one.
 *
 * @throws ConfigError if none is merged, or the model is being trained.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {upgrade} from '@tfjs-peft/layers';
 * import {merge, unmerge} from '@tfjs-peft/layers/merge';
 *
 * const model = tf.sequential({layers: [tf.layers.dense({name: 'hidden', units: 8, inputShape: [16]})]});
 * const peft = await upgrade(model, {targets: ['hidden'], adapter: {type: 'lora', rank: 2}});
 * await merge(peft);
 * await unmerge(peft);
 * ```
 */
export async function unmerge(peft: AnyPeft): Promise<void> {
  const handle = handleOf('unmerge', peft);
  return handle.inTurn(async () => {
    const state = handle.live();
    state.checkIdle();
    const {merged} = state;
    if (merged === undefined)
      throw new ConfigError('unmerge: no adapter is merged into the model. Call merge(peft) first.');
    merged.exchanged.restore();
    state.merged = undefined;
    handle.enable(merged.name);
  });
}

/**
 * Saves the whole model with an adapter merged into its weights: a plain model that needs none of our
 * packages, loads with `tf.loadLayersModel` or `tf.loadGraphModel`, and runs as fast as the base. The model
 * itself stays as it is.
 *
 * What {@link merge} merges can be saved; in a GraphModel also what scales the output of an activation, as
 * (IA)³ and MoV do, by one more node, and constants that several nodes read, by copies. The weights of a
 * GraphModel's sites are stored in float32.
 *
 * @param to A folder, with or without `file://` (Node only), which gets `model.json` and the weights; or any
 * argument of the model's own `save`.
 * @returns Paths of the files if they were saved to a folder.
 * @throws UnsupportedSiteError if merging is not exact at a site, as when gates depend on the input, or a
 * weight is quantised; ConfigError if no adapter has that name, the location cannot be written, or the folder
 * has a model that another program saved.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {upgrade} from '@tfjs-peft/layers';
 * import {exportPlain} from '@tfjs-peft/layers/merge';
 *
 * const model = tf.sequential({layers: [tf.layers.dense({name: 'hidden', units: 8, inputShape: [16]})]});
 * const peft = await upgrade(model, {targets: ['hidden'], adapter: {type: 'lora', rank: 2}});
 * await exportPlain(peft, 'out/plain-model');
 * ```
 */
export async function exportPlain(
  peft: AnyPeft,
  to: StorageLocation,
  options: SaveOptions = {},
): Promise<string[]> {
  const handle = handleOf('exportPlain', peft);
  return handle.inTurn(async () => {
    const {name} = checkOptions('exportPlain', options, ['name']);
    return withMerged(handle, 'exportPlain', name, async (state, _, merged) =>
      storeModel(to, await mergerOf(state).artifacts(state, merged)),
    );
  });
}

/** @throws ConfigError if it is not what `upgrade` gave. */
function handleOf(what: string, peft: AnyPeft): PeftHandle<AnyPeft['model']> {
  if (peft instanceof PeftHandle) return peft as PeftHandle<AnyPeft['model']>;
  throw new ConfigError(`${what}: peft is ${describe(peft)}. Pass what upgrade or loadPeft returned.`);
}

/** Uses the weights of all sites with an adapter worked in, while the adapter is the active one. */
async function withMerged<T>(
  handle: PeftHandle<AnyPeft['model']>,
  what: string,
  wanted: string | undefined,
  use: (
    state: AdaptedModel,
    sites: readonly MergeableSite[],
    merged: ReadonlyMap<string, Merged>,
  ) => T | Promise<T>,
): Promise<T> {
  const {state, name} = handle.chosen(what, wanted === undefined ? {} : {name: wanted});
  const before = state.active;
  if (before !== name) state.activate(name);
  const merged = new Map<string, Merged>();
  try {
    const sites = mergerOf(state).sites(state);
    for (const {path, operation, adapter, label} of sites)
      merged.set(path, await mergeSite(operation, adapter, label));
    return await use(state, sites, merged);
  } catch (error) {
    if (state.active !== before && state.adapters.has(name)) state.activate(before);
    throw error;
  } finally {
    tf.dispose([...merged.values()]);
  }
}
