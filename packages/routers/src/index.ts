export {checkBoolean, checkChoice, checkInteger, checkOptions, checkPositive} from './options.js';
export {Registry} from './registry.js';
export {
  type CreateRouter,
  createRouter,
  type Router,
  type RouterConfig,
  type RouterConfigs,
  type RouterView,
  type Routing,
  registerRouter,
} from './router.js';
export {SoftmaxRouter, type SoftmaxRouterConfig} from './softmax.js';
export {keepTopK} from './top-k.js';
export type {AddWeight, Init, Weight} from './weights.js';
