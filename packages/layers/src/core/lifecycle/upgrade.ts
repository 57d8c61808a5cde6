import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import {checkOptions} from '@tfjs-peft/routers';
import type {StorageLocation} from '../io/storage-location.js';
import {PeftHandle} from './handle.js';
import {peftOf, stateOf} from './kinds.js';
import type {LoadOptions} from './load.js';
import {inTurn} from './model-lock.js';
import type {AnyPeft, KindOf, UpgradableModel} from './peft.js';
import {type AlsoTrain, type AnyUpgradeConfig, UPGRADE_OPTIONS} from './plan.js';
import {makeReport, type Report} from './report.js';

/** The adapters of one model: what {@link AnyPeft} says, and what its kind of model has besides. */
export type Peft<M extends UpgradableModel = tfl.LayersModel> = AnyPeft<M> & KindOf<M>['peft'];

/** For `instanceof`, which holds for what another copy of this package made, too. {@link upgrade} and {@link loadPeft} make one. */
export const Peft: {[Symbol.hasInstance](value: unknown): value is AnyPeft} = PeftHandle;

/** What {@link upgrade} is to do: what {@link AnyUpgradeConfig} says, and what the kind of model has besides. */
export type UpgradeConfig<M extends UpgradableModel = tfl.LayersModel> = AnyUpgradeConfig &
  KindOf<M>['config'];

/**
 * Adds an adapter to a model in place: the model stays the caller's own object, on which `predict`, `fit`, `evaluate`, `save` and
 * `summary` (or `execute` and `executeAsync`) go on working, and only the adapter (and what `alsoTrain` names) is trained.
 *
 * Of a LayersModel, each targeted layer gives its place to a {@link PeftLayer} that shares its weights. Every other weight that the
 * model has now is frozen, also against `model.trainable = true`, and BatchNormalization runs in inference mode. Nested models,
 * shared layers and a Dense inside TimeDistributed are taken in. A compiled model is compiled again with its own loss and metrics and
 * a fresh optimizer of the same class and settings. Weights are listed in one order, whichever adapter is active: the base's as before,
 * then those of adapters as they came. Other models that have some of the layers change with them, and are saved with the adapters;
 * the report names them, and an upgrade of theirs is refused. (Of a model that was made before this package was imported only the
 * outputs change: its own lists, and so its file, go on without the adapters.)
 *
 * Of a GraphModel, each targeted node runs our code while the adapter is active, in the executor's own copy of this one graph:
 * products with a constant (MatMul, _FusedMatMul, BatchMatMulV2, Einsum), convolutions, and lookups. A bias that the converter has left
 * behind a Reshape, and an activation, belong to the site. `trainer` of `@tfjs-peft/layers/graph` trains it. Its `save` goes on writing the file that it was
 * loaded from; see `saveModel` and `merge` of its Peft.
 *
 * The model may be changed under an upgrade, as by `pop` and `add`: what the user puts in belongs to the active adapter, if it is
 * trained, and to the base else. Report and files have what the model has.
 *
 * A second call with another name stores a second adapter beside the first, and makes it the active one.
 *
 * @param model What `tf.loadLayersModel`, `tf.model`, `tf.sequential` or `tf.loadGraphModel` gives.
 * @throws ConfigError, NoTargetError, UnsupportedSiteError or DuplicateNameError, each naming the thing and the way out. The model is
 * then unchanged.
 */
export async function upgrade<M extends UpgradableModel>(
  model: M,
  config: NoInfer<UpgradeConfig<M>>,
): Promise<Peft<M>> {
  return inTurn(model, async () => {
    const peft = peftOf(model);
    const state = peft.changing();
    const plan = state.plan(config);
    state.add(plan);
    peft.begin(plan.name);
    return peft as PeftHandle<M> & Peft<M>;
  });
}

/**
 * Adds an adapter that {@link AnyPeft.save} stored to its base model; see {@link AnyPeft.load} and {@link upgrade}.
 *
 * @throws As {@link AnyPeft.load} does. The model is then unchanged.
 */
export async function loadPeft<M extends UpgradableModel>(
  model: M,
  from: StorageLocation,
  options?: LoadOptions,
): Promise<Peft<M>> {
  return inTurn(model, async () => {
    const peft = peftOf(model);
    await peft.loadNow(from, options);
    return peft as PeftHandle<M> & Peft<M>;
  });
}

/**
 * Says what {@link upgrade} would do, and changes nothing: for each layer with weights, or node that can carry an adapter or might be
 * thought to, its class or op, the shape and stored type of its weight, and why it is left out if it is.
 *
 * @param config As {@link upgrade} takes it, but all of it may be left out. With an `adapter` the report counts parameters; without,
 * it only says what matches.
 * @throws As {@link upgrade} does; ConfigError if there are overrides, but no adapter that they could change.
 */
export function inspect<M extends UpgradableModel>(
  model: M,
  config: NoInfer<Partial<UpgradeConfig<M>>> = {},
): Report {
  const state = stateOf(model);
  const options: Partial<AnyUpgradeConfig & AlsoTrain> = config;
  const {adapter, name = FREE, ...given} = checkOptions('inspect', options, UPGRADE_OPTIONS);
  if (adapter !== undefined) {
    const {selected, sites} = state.plan({adapter, name, ...given});
    return makeReport(state, null, selected, sites);
  }
  if (given.overrides !== undefined) {
    throw new ConfigError(
      'inspect: overrides change options of an adapter, but there is none. Give adapter, or leave overrides out.',
    );
  }
  return makeReport(state, null, state.select(given.targets, given.alsoTrain), []);
}

/** A dry run asks for no name, and may not fail for one that is taken. */
const FREE = ' dry run';
