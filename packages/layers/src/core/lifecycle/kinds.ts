import type * as tf from '@tensorflow/tfjs-core';
import {ConfigError, describe, shared} from '@tfjs-peft/kernels';
import type {AdaptedModel} from './adapted-model.js';
import {handleOf, type PeftHandle} from './handle.js';
import type {UpgradableModel} from './peft.js';
import {checkAlone} from './side-host.js';

/** A kind of model that can be upgraded. */
export interface ModelKind<M extends UpgradableModel> {
  is(model: unknown): model is M;
  /** Such a model before its first upgrade. */
  state(model: M): AdaptedModel;
  peft(model: M): PeftHandle<M>;
  /** Builds a model of a file that lacks some constants, which are given. */
  load?(artifacts: tf.io.ModelArtifacts, constants: ReadonlyMap<string, tf.Tensor>): Promise<M>;
}

/** Kinds by name. If two copies of this package are loaded, the first one registers a kind for both. */
const kinds = shared('layers.kinds', () => new Map<string, ModelKind<UpgradableModel>>());

/** A kind that was registered; undefined if its entry point was not imported. */
export function kindNamed(name: string): ModelKind<UpgradableModel> | undefined {
  return kinds.get(name);
}

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

/** @throws ConfigError if `model` is not a model, its kind was not imported, or it has a side network. */
function kindOf<M extends UpgradableModel>(model: M): ModelKind<M> {
  const found = [...kinds.values()].find((kind) => kind.is(model));
  if (found !== undefined) checkAlone(model);
  if (found !== undefined) return found as ModelKind<UpgradableModel> as ModelKind<M>;
  if (looksLikeGraphModel(model)) {
    throw new ConfigError(
      "The model is a GraphModel, which '@tfjs-peft/layers' alone cannot adapt. " +
        "Import from '@tfjs-peft/layers/graph' instead: it exports the same names.",
    );
  }
  throw new ConfigError(
    `The model is ${describe(model)}. Pass a LayersModel from tf.loadLayersModel, tf.model or ` +
      'tf.sequential, or a GraphModel from tf.loadGraphModel.',
  );
}

/** The Peft that a model has, or a new one for its first upgrade. */
export function peftOf<M extends UpgradableModel>(model: M): PeftHandle<M> {
  return handleOf(model) ?? kindOf(model).peft(model);
}

/** The state of a model's upgrade, or a new one if it has none. */
export function stateOf(model: UpgradableModel): AdaptedModel {
  return handleOf(model)?.live() ?? kindOf(model).state(model);
}
