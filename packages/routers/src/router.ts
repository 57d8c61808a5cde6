import type {Tensor} from '@tensorflow/tfjs-core';
import type {AddWeight} from './weights.js';

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

/** Configs by router type: each router's own file adds to it by declaration merging, as a package with a router of its own does. */
// biome-ignore lint/suspicious/noEmptyInterface: it is empty here, so that this file names no router.
export interface RouterConfigs {}

/** The config of any known router, told apart by `type`. */
export type RouterConfig = RouterConfigs[keyof RouterConfigs];
