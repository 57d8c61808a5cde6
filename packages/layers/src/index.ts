import * as tf from '@tensorflow/tfjs-core';
import {registerKind} from './core/lifecycle/kinds.js';
import {layersKind} from './layers-model/kind.js';
import {PeftDense} from './layers-model/sites/peft-dense.js';
import {PeftWrapper} from './layers-model/sites/peft-wrapper.js';
import {listPackedInPlace, orderWeights} from './layers-model/sites/weight-order.js';
import {knowModels} from './layers-model/surgery/known-models.js';

// Registered here, not in the classes' own files: a bundler would drop a class that only a saved model needs.
registerKind('layers', layersKind);
knowModels();
listPackedInPlace();
orderWeights();
tf.serialization.registerClass(PeftDense);
tf.serialization.registerClass(PeftWrapper);

// What users of this package need from the packages below it, so that they import nothing from a package that
// they did not install.
export {
  BackendError,
  ConfigError,
  DuplicateNameError,
  NoGradientError,
  NoTargetError,
  PeftError,
  SafetensorsError,
  ShapeError,
  UnsupportedSiteError,
  WeightMismatchError,
} from '@tfjs-peft/kernels';
export type {AddWeight, Init, RouterConfig, RouterContext, Weight, WeightSharing} from '@tfjs-peft/routers';
// With a star: otherwise no other package could add to the interface AdapterConfigs.
export * from './core/adapters/adapter.js';
export {adapterShapes, countTrainable, type WeightShape} from './core/adapters/count.js';
export * from './core/adapters/list.js';
export type {BiasOption, ScaleOptions} from './core/adapters/low-rank.js';
export {
  type AdapterConfigOf,
  type AdapterDefinition,
  adapterDefinitions,
  createAdapter,
  defineAdapter,
} from './core/adapters/registry.js';
export type {AdapterRouterConfig} from './core/adapters/router-of.js';
export type {ScalePosition} from './core/adapters/scaling.js';
export type {Rename} from './core/io/rename.js';
export {readSafetensors, type SafetensorsFile, type StoredTensor} from './core/io/safetensors.js';
export {writeSafetensors} from './core/io/safetensors-writer.js';
export type {SaveResult} from './core/io/storage.js';
export type {StorageLocation} from './core/io/storage-location.js';
export type {SharedWith} from './core/lifecycle/adapted-model.js';
export {type BalanceSchedule, balanceCallback, balanceScale, type Warmup} from './core/lifecycle/balance.js';
export type {LayerGap} from './core/lifecycle/layer-gap.js';
export type {LoadOptions} from './core/lifecycle/load.js';
export type {AnyPeft, KindOf, ModelKinds, SaveOptions, UpgradableModel} from './core/lifecycle/peft.js';
export type {AlsoTrain, AnyUpgradeConfig, Override} from './core/lifecycle/plan.js';
export type {Report, ReportSite} from './core/lifecycle/report.js';
export type {SiteInfo, SiteStatus, Target, Targets} from './core/lifecycle/select.js';
export {inspect, loadPeft, Peft, type UpgradeConfig, upgrade} from './core/lifecycle/upgrade.js';
export {type UsageCallbackOptions, usageCallback} from './core/lifecycle/usage-callback.js';
export {deriveSeed} from './core/random.js';
export {AdaptedSite, type CallOptions} from './core/sites/adapted-site.js';
export type {VariableScope} from './core/sites/adapter-slot.js';
export type {FrozenBase, Operation, SiteActivation} from './core/sites/operation.js';
export type {SiteStage} from './core/sites/run-site.js';
export type {SharedPart, SharedShape} from './core/sites/shared-weights.js';
export type {ExpertUsage, SiteUsage, UsageRecorder} from './core/sites/usage.js';
export type {LayersPeft} from './layers-model/kind.js';
export {
  adapted,
  type DropIn,
  type DropInArgs,
  doraDense,
  ia3Dense,
  limeDense,
  loraDense,
  loraFaDense,
  moloraDense,
  mor1eDense,
  movDense,
} from './layers-model/sites/factories.js';
export type {LayerCall, LayerSite, SiteWeights} from './layers-model/sites/layer-site.js';
export {type DenseArgs, PeftDense, type PeftDenseArgs} from './layers-model/sites/peft-dense.js';
export {PeftLayer, type PeftLayerArgs} from './layers-model/sites/peft-layer.js';
export {PeftWrapper, type PeftWrapperArgs} from './layers-model/sites/peft-wrapper.js';
export type {SavedAdapter} from './layers-model/sites/saved-adapters.js';
export {registerSite} from './layers-model/sites/site-registry.js';
