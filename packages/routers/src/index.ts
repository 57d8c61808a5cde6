export {LIMITS, plainCopy} from './bounds.js';
export {CompositeRouter, type CompositeRouterConfig, type PartRouterConfig} from './composite.js';
export {ExpertChoiceRouter, type ExpertChoiceRouterConfig} from './expert-choice.js';
export {
  type FitIntuitionOptions,
  fitIntuition,
  intuitionScores,
  sentenceEmbedding,
} from './fit-intuition.js';
export {balanceLoss, importanceLoss, meanUsage, usageDivergence, zLoss} from './losses.js';
export {NoisyTopKRouter, type NoisyTopKRouterConfig} from './noisy-top-k.js';
export {
  checkBoolean,
  checkChoice,
  checkCount,
  checkInteger,
  checkNumber,
  checkOptions,
  checkPositive,
} from './options.js';
export {uniformNumbers} from './random.js';
export {Registry} from './registry.js';
// By a star, since only so can another package add to the interface RouterConfigs.
export * from './router.js';
export {
  FixedRouter,
  type FixedRouterConfig,
  IntuitionRouter,
  type IntuitionRouterConfig,
  SentenceRouter,
  type SentenceRouterConfig,
  TaskRouter,
  type TaskRouterConfig,
} from './sample-routers.js';
export {SoftmaxRouter, type SoftmaxRouterConfig} from './softmax.js';
export {checkTasks} from './tasks.js';
export {keepTopK} from './top-k.js';
export type {AddWeight, Init, Weight} from './weights.js';
export {ZeroRouter, type ZeroRouterConfig} from './zero/router.js';
