import type {Tensor, Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import type {CombineParts, ProjectInputs} from '@tfjs-peft/kernels';
import type {AddWeight, RouterContext, Routing} from '@tfjs-peft/routers';

/** Widths of a site, as an adapter's weights have them. */
export interface SiteDims {
  /** Rows of the frozen kernel as a matrix: the last axis of the input of a plain product. */
  inputDim: number;
  /** Last axis of the output. */
  outputDim: number;
  /** Width of what routers see. Default `inputDim`. */
  routerDim?: number;
  /**
   * - `projection`: a product of the input, or of windows of it, with the kernel.
   * - `lookup`: the input is the numbers of the kernel's rows, as in an Embedding.
   * - `scaling`: neither, so that the output can be scaled but nothing be added to it.
   *
   * Default `projection`.
   */
  kind?: 'projection' | 'lookup' | 'scaling';
}

/** What an adapter sees of a site. */
export interface AdapterView {
  /** What the router reads, [..., routerDim], float32, with the output's leading axes: the site's input, if it is a plain product. */
  input: Tensor;
  training: boolean;
  /** Whether anybody will add a router's loss to that of training. Default: as `training`. */
  withLoss?: boolean;
  /** The frozen kernel as a matrix, [inputDim, outputDim]. */
  kernel: Tensor2D;
  /** The frozen bias, [outputDim], where there is one. */
  bias?: Tensor1D;
  /** What the batch brings along. */
  context?: RouterContext | undefined;
  /**
   * The site's input through a matrix A [inputDim, R], h [..., R]; and, with `columns`, the first columns of the frozen output without
   * its bias. The other options are those of `project` of `@tfjs-peft/kernels`.
   */
  project(request: Omit<ProjectInputs, 'x' | 'kernel'>): {h: Tensor; columns?: Tensor};
  /** To be told what a router decided, for its loss and for statistics. */
  observe?: (routing: Routing) => void;
}

/**
 * A way to change a frozen projection. It declares its weights once and then, batch by batch, fills in parts of the site's
 * expression (see `combine` of `@tfjs-peft/kernels`); it never computes an output, and knows neither layer nor backend.
 */
export interface Adapter {
  readonly type: string;
  /**
   * What `parts` gets as the view's input: the site's input, or its output after the activation, which can then only be scaled, by
   * `post`. Default `input`.
   */
  readonly reads?: 'input' | 'output';
  /** Whether it only scales the output, and so can act where there is no product to project by. Default false. */
  readonly scalesOnly?: boolean;
  /** Whether what it observes may carry a loss. Default false. */
  readonly hasLoss?: boolean;
  /** How many tasks its router can tell apart by the context's `task`. Default: it does not look at tasks. */
  readonly tasks?: number | undefined;
  /** Declares the weights; called once, before `parts`. The only place that says which weights there are. */
  build(dims: SiteDims, add: AddWeight): void;
  parts(view: AdapterView): CombineParts;
  /** How many tokens `prepend` gives. Default 0. */
  readonly virtualTokens?: number;
  /** With `virtualTokens`: tokens [batch, virtualTokens, outputDim] to put before the output, a batch of sequences. */
  prepend?(view: AdapterView): Tensor;
  /** JSON-able, with all defaults filled in; `createAdapter` makes an equal adapter of it. */
  getConfig(): AdapterConfig;
}

/** Configs by adapter type: each adapter's own file adds to it by declaration merging, as a package with an adapter of its own does. */
// biome-ignore lint/suspicious/noEmptyInterface: it is empty here, so that this file names no adapter.
export interface AdapterConfigs {}

/** The config of any known adapter, told apart by `type`. */
export type AdapterConfig = AdapterConfigs[keyof AdapterConfigs];
