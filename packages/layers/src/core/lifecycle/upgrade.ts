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

/** The adapters of one model: {@link AnyPeft}, and the members for its kind of model. */
export type Peft<M extends UpgradableModel = tfl.LayersModel> = AnyPeft<M> & KindOf<M>['peft'];

/**
 * For `instanceof`, which is also true for objects of another copy of this package. {@link upgrade} and
 * {@link loadPeft} make them.
 *
 * @example
 * ```ts
 * import {Peft} from '@tfjs-peft/layers';
 *
 * const isPeft = (value: unknown) => value instanceof Peft;
 * ```
 */
export const Peft: {[Symbol.hasInstance](value: unknown): value is AnyPeft} = PeftHandle;

/** The config of {@link upgrade}: {@link AnyUpgradeConfig}, and the options for the kind of model. */
export type UpgradeConfig<M extends UpgradableModel = tfl.LayersModel> = AnyUpgradeConfig &
  KindOf<M>['config'];

/**
 * Adds an adapter to a model in place. The model stays your own object: `predict`, `fit`, `evaluate`, `save`
 * and `summary` (or `execute` and `executeAsync`) go on working. Only the adapter and the layers in
 * `alsoTrain` are trained.
 *
 * LayersModel: a {@link PeftLayer} that shares the weights replaces each targeted layer, also in nested
 * models, in TimeDistributed, and where models share layers. All other weights are frozen, even against
 * `model.trainable = true`, and BatchNormalization runs in inference mode. A compiled model is compiled again
 * with its own loss and metrics and a fresh optimizer of the same class and settings. The order of the
 * weights does not depend on which adapter is active: first the base's, then those of the adapters in the
 * order in which they were added. Other models that share the layers change too and are saved with the
 * adapters; the report names them, and they cannot be upgraded. (If such a model was made before this package
 * was imported, its outputs change, but its weight lists and files stay without the adapters.)
 *
 * GraphModel (import from `@tfjs-peft/layers/graph`): while the adapter is active, each targeted node runs
 * our code, in this model's own copy of the graph. Nodes can be products with a constant (MatMul,
 * _FusedMatMul, BatchMatMulV2, Einsum), convolutions, and lookups. An activation after the node belongs to
 * the site, as does a bias after a Reshape. `trainer` trains the adapter. `save` of the model still writes
 * the file that it was loaded from; see `saveModel` and `merge` of its Peft.
 *
 * You may change the model afterwards, as with `pop` and `add`. A new layer belongs to the active adapter if
 * it is trained, else to the base. Reports and files follow the model.
 *
 * A further call with another name adds a further adapter and makes it active.
 *
 * @param model The result of `tf.loadLayersModel`, `tf.model`, `tf.sequential` or `tf.loadGraphModel`.
 * @throws ConfigError, NoTargetError, UnsupportedSiteError or DuplicateNameError, which say what is wrong and
 * how to fix it. The model is then unchanged.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {upgrade} from '@tfjs-peft/layers';
 *
 * const model = tf.sequential({layers: [tf.layers.dense({name: 'hidden', units: 8, inputShape: [16]})]});
 * const peft = await upgrade(model, {targets: ['hidden'], adapter: {type: 'lora', rank: 4}});
 * model.compile({optimizer: 'adam', loss: 'meanSquaredError'});
 * await model.fit(tf.ones([4, 16]), tf.ones([4, 8]), {verbose: 0});
 * peft.disable(); // the base model's own outputs
 * ```
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
 * Loads a saved adapter into a model and makes it active; see {@link AnyPeft.save} and {@link AnyPeft.load}.
 *
 * @throws The errors of {@link AnyPeft.load}. The model is then unchanged.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {loadPeft, upgrade} from '@tfjs-peft/layers';
 *
 * const layer = {name: 'hidden', units: 2, kernelInitializer: 'ones'} as const;
 * const base = () => tf.sequential({layers: [tf.layers.dense({...layer, inputShape: [4]})]});
 * const peft = await upgrade(base(), {targets: ['hidden'], adapter: {type: 'lora', rank: 2}});
 * await peft.save('out/my-adapter');
 * const loaded = await loadPeft(base(), 'out/my-adapter');
 * ```
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
 * Reports what {@link upgrade} would do, and changes nothing. The report lists every layer with weights (or
 * node that is similar to a site) with its class or op, the shape and stored type of its weight, its status
 * and the reason.
 *
 * @param config The config of {@link upgrade}; every option may be left out. Without an `adapter`, the report
 * counts no parameters.
 * @throws The errors of {@link upgrade}; ConfigError if there are overrides but no adapter.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {inspect} from '@tfjs-peft/layers';
 *
 * const model = tf.sequential({layers: [tf.layers.dense({units: 8, inputShape: [16]})]});
 * console.log(String(inspect(model, {targets: 'all-projections', adapter: {type: 'lora', rank: 4}})));
 * ```
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
      'inspect: overrides needs an adapter whose options it changes. Set adapter, or leave out overrides.',
    );
  }
  return makeReport(state, null, state.select(given.targets, given.alsoTrain), []);
}

/** A dry run needs no name and must not fail because a name is taken. */
const FREE = ' dry run';
