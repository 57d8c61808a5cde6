// Definitions and checks of options, for adapters and routers of one's own.
export {
  checkBoolean,
  checkChoice,
  checkCount,
  checkInteger,
  checkNumber,
  checkOptions,
  checkPositive,
  type Definition,
  define,
  LIMITS,
  plainCopy,
  Registry,
  uniformNumbers,
} from '@tfjs-peft/kernels';
export {
  createRouter,
  defineRouter,
  type RouterConfigOf,
  type RouterDefinition,
  routerDefinitions,
  type WithoutExperts,
} from './define.js';
export {
  type FitIntuitionOptions,
  fitIntuition,
  intuitionScores,
  sentenceEmbedding,
} from './fit-intuition.js';
export {keepTopK} from './keep-top-k.js';
export {balanceLoss, importanceLoss, meanUsage, usageDivergence, zLoss} from './losses.js';
export {uniformNoise} from './noise.js';
// With a star: otherwise no other package could add to the interface RouterConfigs.
export * from './router.js';
export * from './routers/list.js';
export {checkTasks} from './tasks.js';
export type {AddWeight, Init, Weight, WeightSharing} from './weights.js';
