import type {Tensor} from '@tensorflow/tfjs-core';
import {ConfigError, describe} from '@tfjs-peft/kernels';
import {plainCopy} from './bounds.js';
import {CompositeRouter, type CompositeRouterConfig} from './composite.js';
import {ExpertChoiceRouter, type ExpertChoiceRouterConfig} from './expert-choice.js';
import {NoisyTopKRouter, type NoisyTopKRouterConfig} from './noisy-top-k.js';
import {Registry} from './registry.js';
import {
  FixedRouter,
  type FixedRouterConfig,
  IntuitionRouter,
  type IntuitionRouterConfig,
  SentenceRouter,
  type SentenceRouterConfig,
  TaskRouter,
  type TaskRouterConfig,
} from './sample-routers.js';
import {SoftmaxRouter, type SoftmaxRouterConfig} from './softmax.js';
import type {AddWeight} from './weights.js';
import {ZeroRouter, type ZeroRouterConfig} from './zero/router.js';

/**
 * What a batch brings along for the routers besides the site's input. Every tensor is float32; its first axis is the batch, or 1 where
 * all samples have it in common.
 */
export interface RouterContext {
  /** Scores of each sample against the clusters of an intuition, [batch, clusters]; see `fitIntuition`. */
  intuition?: Tensor;
  /** A sentence embedding of each sample, [batch, d]. */
  sentence?: Tensor;
  /** Number of each sample's task, a whole number from 0, [batch]. */
  task?: Tensor;
  /** 1 for a real token, 0 for padding, [batch, sequence]; else the mask that tfjs passes to the layer. */
  mask?: Tensor;
  /** Uniform numbers in [0, 1) of a shape, for routers with noise. Default: tfjs's. */
  noise?: (shape: number[]) => Tensor;
}

/** What a router sees of a site. */
export interface RouterView {
  /** The site's input, [..., d], float32. */
  input: Tensor;
  training: boolean;
  /** Whether anybody will add the router's loss to that of training; if not, it need not be computed. Default: as `training`. */
  withLoss?: boolean;
  /** The leading columns of the frozen output, [..., needs.base], bias included; there if the router needs them. */
  base?: Tensor;
  /** The leading columns of the adapter's own output, before any modulation, [..., needs.delta]; there if the router needs them. */
  delta?: Tensor;
  context?: RouterContext;
}

/** What a router decides. */
export interface Routing {
  /** The weight of every expert, [..., E]: after any top-k mask. */
  gates: Tensor;
  /** The distribution over the experts that the gates come from, [..., E]: before any mask. */
  probabilities: Tensor;
  /** At most so many gates of a row are not 0, so that an adapter may leave the other experts out. Default: any number. */
  topK?: number;
  /** 1 for the experts that count as chosen, else 0, [..., E]. Default: those whose gate is not 0. */
  selected?: Tensor;
  /** What training adds to the loss, weighted, a scalar; only while training, if the config asks for it and the view wants it. */
  loss?: Tensor;
}

/** What a router reads besides the site's input. */
export interface RouterNeeds {
  /** How many leading columns of the frozen output. */
  base?: number;
  /** How many leading columns of the adapter's own output. */
  delta?: number;
}

/** Turns what a site sees into one weight per expert. It owns its weights but knows neither the adapter nor the experts. */
export interface Router {
  readonly experts: number;
  /** What it reads besides the site's input. Default: nothing. */
  readonly needs?: RouterNeeds;
  /** Whether the gates of every row sum to 1. Default false: they may not. */
  readonly normalized?: boolean;
  /** Whether it may add to the training loss. Default false. */
  readonly hasLoss?: boolean;
  /** How many tasks it can tell apart by the context's `task`, whose numbers are checked. Default: it does not look at tasks. */
  readonly tasks?: number | undefined;
  /** Declares the weights; called once, before `route`. */
  build(inputDim: number, add: AddWeight): void;
  route(view: RouterView): Routing;
  /** JSON-able, with all defaults filled in; `createRouter` makes an equal router of it. */
  getConfig(): RouterConfig;
}

/** Configs by router type. A package that registers a router of its own adds to it by declaration merging. */
export interface RouterConfigs {
  softmax: SoftmaxRouterConfig;
  zero: ZeroRouterConfig;
  'noisy-top-k': NoisyTopKRouterConfig;
  'expert-choice': ExpertChoiceRouterConfig;
  intuition: IntuitionRouterConfig;
  sentence: SentenceRouterConfig;
  task: TaskRouterConfig;
  fixed: FixedRouterConfig;
  composite: CompositeRouterConfig;
}

/** The config of any known router, told apart by `type`. */
export type RouterConfig = RouterConfigs[keyof RouterConfigs];

/** Checks a config, fills in its defaults, and makes the router; throws a ConfigError if the config is not good. */
export type CreateRouter = (config: RouterConfig) => Router;

const routers = new Registry<CreateRouter>('router', () => ({
  softmax: (config) => new SoftmaxRouter(config as SoftmaxRouterConfig),
  zero: (config) => new ZeroRouter(config as ZeroRouterConfig),
  'noisy-top-k': (config) => new NoisyTopKRouter(config as NoisyTopKRouterConfig),
  'expert-choice': (config) => new ExpertChoiceRouter(config as ExpertChoiceRouterConfig),
  intuition: (config) => new IntuitionRouter(config as IntuitionRouterConfig),
  sentence: (config) => new SentenceRouter(config as SentenceRouterConfig),
  task: (config) => new TaskRouter(config as TaskRouterConfig),
  fixed: (config) => new FixedRouter(config as FixedRouterConfig),
  composite: (config) => new CompositeRouter(config as CompositeRouterConfig),
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
      `The router config is ${describe(config)}, but must be an object such as {type: 'softmax', experts: 4}.`,
    );
  }
  const plain = plainCopy('router', config);
  return routers.get(plain.type)(plain);
}
