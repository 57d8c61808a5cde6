import type {Tensor} from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {Registry} from './registry.js';
import {SoftmaxRouter, type SoftmaxRouterConfig} from './softmax.js';
import type {AddWeight} from './weights.js';

/** What a router sees of a site. */
export interface RouterView {
  /** The site's input, [..., d], float32. */
  input: Tensor;
  training: boolean;
}

/** What a router decides. */
export interface Routing {
  /** The weight of every expert, [..., E]: after any top-k mask. */
  gates: Tensor;
  /** The distribution over the experts that the gates come from, [..., E]: before any mask. */
  probabilities: Tensor;
  /** At most so many gates of a row are not 0, so that an adapter may leave the other experts out. Default: any number. */
  topK?: number;
}

/** Turns what a site sees into one weight per expert. It owns its weights but knows neither the adapter nor the experts. */
export interface Router {
  readonly experts: number;
  /** Declares the weights; called once, before `route`. */
  build(inputDim: number, add: AddWeight): void;
  route(view: RouterView): Routing;
  /** JSON-able, with all defaults filled in; `createRouter` makes an equal router of it. */
  getConfig(): RouterConfig;
}

/** Configs by router type. A package that registers a router of its own adds to it by declaration merging. */
export interface RouterConfigs {
  softmax: SoftmaxRouterConfig;
}

/** The config of any known router, told apart by `type`. */
export type RouterConfig = RouterConfigs[keyof RouterConfigs];

/** Checks a config, fills in its defaults, and makes the router; throws a ConfigError if the config is not good. */
export type CreateRouter = (config: RouterConfig) => Router;

const routers = new Registry<CreateRouter>('router', () => ({
  softmax: (config) => new SoftmaxRouter(config as SoftmaxRouterConfig),
}));

/**
 * Makes a router type known to configs.
 *
 * @throws DuplicateNameError if a built-in router has that name.
 */
export function registerRouter(type: string, create: CreateRouter): void {
  routers.register(type, create);
}

/**
 * Makes a router from its config.
 *
 * @throws ConfigError if the type is unknown, or an option unknown or out of range; it says which ones there are.
 */
export function createRouter(config: RouterConfig): Router {
  if (typeof config !== 'object' || config === null) {
    throw new ConfigError(
      `The router config is ${String(config)}, but must be an object such as {type: 'softmax', experts: 4}.`,
    );
  }
  return routers.get(config.type)(config);
}
