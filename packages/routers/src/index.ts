export {balanceLoss, importanceLoss, meanUsage, usageDivergence, zLoss} from './losses.js';
export {
  checkBoolean,
  checkChoice,
  checkInteger,
  checkNumber,
  checkOptions,
  checkPositive,
} from './options.js';
export {Registry} from './registry.js';
// By a star, since only so can another package add to the interface RouterConfigs.
export * from './router.js';
export {SoftmaxRouter, type SoftmaxRouterConfig} from './softmax.js';
export {keepTopK} from './top-k.js';
export type {AddWeight, Init, Weight} from './weights.js';
export {ZeroRouter, type ZeroRouterConfig} from './zero/router.js';
