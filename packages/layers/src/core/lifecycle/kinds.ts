import {ConfigError, describe, shared} from '@tfjs-peft/kernels';
import type {AdaptedModel} from './adapted-model.js';
import {handleOf, type PeftHandle} from './handle.js';
import type {UpgradableModel} from './peft.js';

/** A kind of model that can be upgraded. */
export interface ModelKind<M extends UpgradableModel> {
  is(model: unknown): model is M;
  /** Such a model before its first upgrade. */
  state(model: M): AdaptedModel;
  peft(model: M): PeftHandle<M>;
}

/** By name. Of two copies of this package the first to come registers a kind for both. */
const kinds = shared('layers.kinds', () => new Map<string, ModelKind<UpgradableModel>>());

/** Lets models of a kind be upgraded from now on. */
export function registerKind<M extends UpgradableModel>(name: string, kind: ModelKind<M>): void {
  if (!kinds.has(name)) kinds.set(name, kind as ModelKind<UpgradableModel>);
}

/** By structure, not by class: a page may hold two copies of tfjs-converter. */
export function looksLikeGraphModel(model: unknown): boolean {
  return (
    typeof model === 'object' &&
    model !== null &&
    'modelSignature' in model &&
    typeof (model as {executeAsync?: unknown}).executeAsync === 'function'
  );
}

/** @throws ConfigError if it is no model, or of a kind that was not imported. */
function kindOf<M extends UpgradableModel>(model: M): ModelKind<M> {
  const found = [...kinds.values()].find((kind) => kind.is(model));
  if (found !== undefined) return found as ModelKind<UpgradableModel> as ModelKind<M>;
  if (looksLikeGraphModel(model)) {
    throw new ConfigError(
      "The model is a GraphModel, for which nothing was imported. Import from '@tfjs-peft/layers/graph' what you import from " +
        "'@tfjs-peft/layers'.",
    );
  }
  throw new ConfigError(
    `The model is ${describe(model)}, but must be a LayersModel, as tf.loadLayersModel, tf.model or tf.sequential give it, or a ` +
      'GraphModel, as tf.loadGraphModel gives it.',
  );
}

/** The upgrade of a model: the one that it has, or one that is to be its first. */
export function peftOf<M extends UpgradableModel>(model: M): PeftHandle<M> {
  return handleOf(model) ?? kindOf(model).peft(model);
}

/** The state of a model's upgrade, or of one that would be its first. */
export function stateOf(model: UpgradableModel): AdaptedModel {
  return handleOf(model)?.live() ?? kindOf(model).state(model);
}
