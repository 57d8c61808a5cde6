import type {Tensor} from '@tensorflow/tfjs-core';
import type {AddWeight} from './weights.js';

/**
 * Inputs of a batch for the routers, besides the site's input. Every tensor is float32; its first axis is the
 * batch, or 1 to share one row among all samples.
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
  /** Returns uniform numbers in [0, 1) of a shape, for routers with noise. Default: `tf.randomUniform`. */
  noise?: (shape: number[]) => Tensor;
}

/** The inputs of a router at a site. */
export interface RouterView {
  /** The site's input, [..., d], float32. */
  input: Tensor;
  training: boolean;
  /** Whether the router's loss is used; if not, it need not be computed. Default: the value of `training`. */
  withLoss?: boolean;
  /** The leading columns of the frozen output, [..., needs.base], with bias; set if the router needs them. */
  base?: Tensor;
  /**
   * The leading columns of the adapter's own output, before any modulation, [..., needs.delta]; set if the
   * router needs them.
   */
  delta?: Tensor;
  context?: RouterContext;
}

/** The decision of a router. */
export interface Routing {
  /** The weight of every expert, [..., E], after any top-k mask. */
  gates: Tensor;
  /** The distribution over the experts from which the gates come, [..., E], before any mask. */
  probabilities: Tensor;
  /**
   * Maximum number of gates of a row that are not 0; an adapter may skip the other experts. Default: no
   * maximum.
   */
  topK?: number;
  /** 1 for the experts that count as chosen, else 0, [..., E]. Default: the experts whose gate is not 0. */
  selected?: Tensor;
  /**
   * A weighted scalar that training adds to the loss. Set only in training, if the config asks for it and
   * `withLoss` is true.
   */
  loss?: Tensor;
}

/**
 * The definition that a method follows where its paper and the code that its authors released differ. Each
 * option `form` says what differs.
 */
export type Form = (typeof FORMS)[number];

/** Every {@link Form}, the default first. */
export const FORMS = ['paper', 'code'] as const;

/** Inputs that a router needs besides the site's input. */
export interface RouterNeeds {
  /** Number of leading columns of the frozen output. */
  base?: number;
  /** Number of leading columns of the adapter's own output. */
  delta?: number;
}

/**
 * Computes one weight per expert from the input of a site. It owns its weights and knows neither the adapter
 * nor the experts.
 */
export interface Router {
  readonly experts: number;
  /** Inputs that it needs besides the site's input. Default: none. */
  readonly needs?: RouterNeeds;
  /** Whether the gates of every row always sum to 1. Default false. */
  readonly normalized?: boolean;
  /** Whether it can add to the training loss. Default false. */
  readonly hasLoss?: boolean;
  /**
   * Number of tasks that it knows; numbers in the context's `task` are checked against it. Default: it does
   * not read tasks.
   */
  readonly tasks?: number | undefined;
  /** Declares the weights. Called once, before `route`. */
  build(inputDim: number, add: AddWeight): void;
  route(view: RouterView): Routing;
  /** A JSON config with all defaults, from which `createRouter` makes an equal router. */
  getConfig(): RouterConfig;
}

/**
 * Configs by router type. Each router's file adds its own by declaration merging; a package with its own
 * router does the same.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is empty here, so that this file names no router.
export interface RouterConfigs {}

/** The config of any known router, discriminated by `type`. */
export type RouterConfig = RouterConfigs[keyof RouterConfigs];
