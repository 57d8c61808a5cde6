import type * as tfl from '@tensorflow/tfjs-layers';
import type {AdapterConfig} from '../adapters/adapter.js';
import type {Place} from '../io/storage.js';
import type {LoadOptions} from '../lifecycle/load.js';
import {Peft} from '../lifecycle/peft.js';
import {makeReport, type Report} from '../lifecycle/report.js';
import {planUpgrade, type UpgradeConfig} from './plan.js';
import {selectLayers, type Targets} from './targets.js';

/**
 * Adds an adapter to a model in place: the model stays the caller's own object, on which `predict`, `fit`, `evaluate`, `save` and
 * `summary` go on working, and only the adapter (and what `alsoTrain` names) is trained.
 *
 * Each targeted Dense gives its place to a {@link PeftDense} that shares its kernel and bias. Every other weight that the model has
 * now is frozen, also against `model.trainable = true`, and BatchNormalization runs in inference mode. Nested models, shared layers
 * and a Dense inside TimeDistributed are taken in. A compiled model is compiled again with its own loss and metrics and a fresh
 * optimizer of the same class and settings. A second call with another name stores a second adapter beside the first, and makes it
 * the active one.
 *
 * Upgrade the outermost model: models that use some of its layers from outside are not told.
 *
 * @throws ConfigError, NoTargetError, UnsupportedSiteError or DuplicateNameError, each naming the thing and the way out. The model is
 * then unchanged.
 */
export async function upgrade(model: tfl.LayersModel, config: UpgradeConfig): Promise<Peft> {
  return Peft.upgrade(model, config);
}

/**
 * Adds an adapter that {@link Peft.save} stored to its base model; see {@link Peft.load} and {@link upgrade}.
 *
 * @throws As {@link Peft.load} does. The model is then unchanged.
 */
export async function loadPeft(model: tfl.LayersModel, from: Place, options?: LoadOptions): Promise<Peft> {
  return Peft.load(model, from, options);
}

/**
 * Says what {@link upgrade} would do, and changes nothing.
 *
 * @param targets Default `'all-dense'`.
 * @param adapter With a config the report counts parameters; without, it only says what matches.
 * @throws As {@link upgrade} does.
 */
export function inspect(model: tfl.LayersModel, targets?: Targets, adapter?: AdapterConfig): Report {
  const {layers, isSite} = Peft.stateOf(model);
  if (adapter === undefined) return makeReport(null, selectLayers(layers, isSite, targets), []);
  const config: UpgradeConfig = targets === undefined ? {adapter} : {adapter, targets};
  const {selected, sites} = planUpgrade(layers, isSite, config, []);
  return makeReport(null, selected, sites);
}
