import * as tf from '@tensorflow/tfjs-core';
import {registerNodes} from './graph/register.js';
import {ResetAfterGRUCell} from './repair/layers/gru-cell.js';
import {Cropping1D, ZeroPadding1D} from './repair/layers/time-axis.js';
import {PeftDense} from './sites/peft-dense.js';
import {PeftWrapper} from './sites/peft-wrapper.js';
import {orderWeights} from './sites/weight-order.js';
import {knowModels} from './upgrade/known-models.js';

// Here, not in the classes' own files: a bundler drops those where nothing but a saved model needs the class.
registerNodes();
knowModels();
orderWeights();
tf.serialization.registerClass(PeftDense);
tf.serialization.registerClass(PeftWrapper);
tf.serialization.registerClass(ResetAfterGRUCell);
tf.serialization.registerClass(ZeroPadding1D);
tf.serialization.registerClass(Cropping1D);

// By a star, since only so can another package add to the interface AdapterConfigs.
export * from './adapters/adapter.js';
export {adapterShapes, countTrainable, type WeightShape} from './adapters/count.js';
export {DoraAdapter, type DoraConfig} from './adapters/dora/adapter.js';
export {Ia3Adapter, type Ia3Config} from './adapters/ia3/adapter.js';
export {LimeAdapter, type LimeConfig} from './adapters/lime/adapter.js';
export type {LimeModuleConfig} from './adapters/lime/modules.js';
export type {LimePromptConfig} from './adapters/lime/prompt.js';
export {LoraAdapter, type LoraConfig} from './adapters/lora/adapter.js';
export {LoraFaAdapter, type LoraFaConfig} from './adapters/lora-fa/adapter.js';
export {MoloraAdapter, type MoloraConfig} from './adapters/molora/adapter.js';
export {Mor1eAdapter, type Mor1eConfig} from './adapters/mor1e/adapter.js';
export {MovAdapter, type MovConfig} from './adapters/mov/adapter.js';
export type {Position} from './adapters/position.js';
export {type CreateAdapter, createAdapter, registerAdapter} from './adapters/registry.js';
export type {AdapterRouterConfig} from './adapters/router-of.js';
export type {
  Batching,
  GraphArrays,
  GraphBatch,
  GraphData,
  GraphDataset,
  GraphIterator,
  GraphPair,
  GraphTargets,
} from './graph/training/batches.js';
export type {GraphInputs} from './graph/training/forward.js';
export type {GraphEvaluateOptions, GraphFitOptions, TrainerOptions} from './graph/training/options.js';
export type {GradientGap} from './graph/training/preflight.js';
export {type GraphTrainer, type PreparedInputs, trainer} from './graph/training/trainer.js';
export type {Place} from './io/place.js';
export type {Rename} from './io/rename.js';
export {readSafetensors, type SafetensorsFile, type StoredTensor} from './io/safetensors.js';
export {writeSafetensors} from './io/safetensors-writer.js';
export type {SaveResult} from './io/storage.js';
export type {SharedWith} from './lifecycle/adapted-model.js';
export {type BalanceSchedule, balanceCallback, balanceScale} from './lifecycle/balance.js';
export type {LayerGap} from './lifecycle/layer-gaps.js';
export type {LoadOptions} from './lifecycle/load.js';
export {Peft, type SaveOptions, type UpgradableModel} from './lifecycle/peft.js';
export type {Report, ReportSite} from './lifecycle/report.js';
export {type UsageCallbackOptions, usageCallback} from './lifecycle/usage-callback.js';
export {deriveSeed} from './random.js';
export {ResetAfterGRUCell, type ResetAfterGRUCellArgs} from './repair/layers/gru-cell.js';
export {
  type BothEnds,
  Cropping1D,
  type Cropping1DArgs,
  ZeroPadding1D,
  type ZeroPadding1DArgs,
} from './repair/layers/time-axis.js';
export {type Repair, UnsupportedModelError} from './repair/log.js';
export {type NormalizeOptions, type NormalizingHandler, normalizeArtifacts} from './repair/normalize.js';
export type {ArtifactSource} from './repair/source.js';
export {AdaptedSite, type CallOptions} from './sites/adapted-site.js';
export {
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
} from './sites/factories.js';
export type {LayerCall, LayerSite} from './sites/layer-site.js';
export type {FrozenBase, Operation, SiteActivation} from './sites/operation.js';
export {type DenseArgs, PeftDense, type PeftDenseArgs} from './sites/peft-dense.js';
export {PeftLayer, type PeftLayerArgs} from './sites/peft-layer.js';
export {PeftWrapper, type PeftWrapperArgs} from './sites/peft-wrapper.js';
export type {SavedAdapter} from './sites/saved-adapters.js';
export {registerSite} from './sites/site-registry.js';
export type {ExpertUsage, SiteUsage} from './sites/usage.js';
export type {Override, UpgradeConfig} from './upgrade/plan.js';
export type {SiteInfo, Target, Targets} from './upgrade/select.js';
export {inspect, loadPeft, upgrade} from './upgrade/upgrade.js';
