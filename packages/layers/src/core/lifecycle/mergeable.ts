import type * as tf from '@tensorflow/tfjs-core';
import {shared, UnsupportedSiteError} from '@tfjs-peft/kernels';
import type {Adapter} from '../adapters/adapter.js';
import type {Merged} from '../sites/merge.js';
import type {Operation} from '../sites/operation.js';
import type {AdaptedModel} from './adapted-model.js';
import type {Exchanged} from './exchanged.js';
import type {LayerOrNode} from './select.js';

/** A site of the active adapter, whose frozen weights can be exchanged. */
export interface MergeableSite {
  /** Its path in the model. */
  readonly path: string;
  /** What errors call it, such as `Layer 'dense_1'`. */
  readonly label: string;
  readonly operation: Operation;
  readonly adapter: Adapter;
  /** Why its frozen weights cannot be exchanged for these. */
  refusal(merged: Merged): string | undefined;
  /** Puts the weights in; `merged` stays the caller's. */
  exchange(merged: Merged): Exchanged;
}

/** @throws UnsupportedSiteError if a site's frozen weights cannot be exchanged for these. */
export function checkPlace(site: MergeableSite, merged: Merged): void {
  const why = site.refusal(merged);
  if (why === undefined) return;
  throw new UnsupportedSiteError(
    `${site.label} cannot be merged: ${why}. Save the model with its adapter instead, or leave the site out.`,
  );
}

/** How an adapter is worked into the weights of a model of some kind. */
export interface Merger<S extends AdaptedModel = AdaptedModel> {
  /** The sites of the active adapter, in the order of the model. */
  sites(state: S): MergeableSite[];
  /** What puts weights that the active adapter trains in full in the base's place, once it is not active. */
  trained(state: S): () => Exchanged;
  /**
   * The file of the model with the active adapter worked in, which needs none of our packages.
   *
   * @param merged The frozen weights of its sites, by path.
   * @throws UnsupportedSiteError if a plain model cannot have them.
   */
  artifacts(state: S, merged: ReadonlyMap<string, Merged>): Promise<tf.io.ModelArtifacts>;
}

/** By what the kind of model consists of. */
const mergers = shared('layers.mergers', () => new Map<LayerOrNode, Merger>());

/** Lets adapters of a kind of model be merged from now on. */
export function registerMerger<S extends AdaptedModel>(noun: S['noun'], merger: Merger<S>): void {
  if (!mergers.has(noun)) mergers.set(noun, merger as Merger<AdaptedModel> as Merger);
}

/** The merger of a model's kind. */
export function mergerOf({noun}: AdaptedModel): Merger {
  return mergers.get(noun)!;
}
