import type {Tensor, Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import type {CombineParts, ProjectInputs} from '@tfjs-peft/kernels';
import type {AddWeight, RouterContext, Routing} from '@tfjs-peft/routers';

/** Widths of a site, from which an adapter derives the shapes of its weights. */
export interface SiteDims {
  /** Rows of the frozen kernel as a matrix. For a plain product, the last axis of the input. */
  inputDim: number;
  /** Last axis of the output. */
  outputDim: number;
  /** Width of the routers' input. Default `inputDim`. */
  routerDim?: number;
  /**
   * - `projection`: the product of the input, or of windows of it, with the kernel.
   * - `lookup`: the input holds row numbers of the kernel, as in an Embedding.
   * - `scaling`: neither; adapters can scale the output but not add to it.
   *
   * Default `projection`.
   */
  kind?: 'projection' | 'lookup' | 'scaling';
}

/** What an adapter asks of `project`: the options of `project` of `@tfjs-peft/kernels`. */
export interface ProjectRequest extends Omit<ProjectInputs, 'x' | 'kernel'> {
  /** Whether `a` is part of the frozen kernel, which the adapter's dropout leaves alone. Default false. */
  frozen?: boolean;
}

/** The inputs of an adapter at a site. */
export interface AdapterView {
  /**
   * The router's input, [..., routerDim], float32, with the leading axes of the output. For a plain product,
   * the site's input.
   */
  input: Tensor;
  training: boolean;
  /** Whether the losses of routers are used. Default: the value of `training`. */
  withLoss?: boolean;
  /** The frozen kernel as a matrix, [inputDim, outputDim]. */
  kernel: Tensor2D;
  /** The frozen bias, [outputDim], if there is one. */
  bias?: Tensor1D;
  /** The context of the batch. */
  context?: RouterContext | undefined;
  /**
   * Multiplies the site's input by a matrix A [inputDim, R]: h [..., R]. With `columns`, it also returns the
   * first columns of the frozen output, without bias. The adapter's dropout has been at the input.
   */
  project(request: ProjectRequest): {h: Tensor; columns?: Tensor};
  /**
   * The adapter's dropout, for an input that it does not read by `project`; it returns a tensor of the same
   * shape. Absent where nothing is ever dropped.
   */
  drop?(input: Tensor): Tensor;
  /** Receives the decision of a router, for its loss and for usage statistics. */
  observe?: (routing: Routing) => void;
}

/**
 * Changes a frozen projection. An adapter declares its weights once and then, for every batch, returns parts
 * of the site's expression (see `combine` of `@tfjs-peft/kernels`). It never computes an output, and knows
 * neither the layer nor the backend.
 */
export interface Adapter {
  readonly type: string;
  /**
   * The view's input in `parts`: the site's input, or its output after the activation. With `output`, the
   * adapter can only scale the output, by `post`. Default `input`.
   */
  readonly reads?: 'input' | 'output';
  /** Whether it only scales the output, and so works at sites without a product. Default false. */
  readonly scalesOnly?: boolean;
  /** Its own config's `dropout`; set by {@link createAdapter}. */
  dropout?: number;
  /**
   * What the option `dropout` acts on: the input of its own matrices (`adapter`), that of the frozen
   * product too (`site`; not at a lookup), or, where it reads no input, `nothing`: the option is then
   * refused. Default `adapter`.
   */
  readonly dropsAt?: 'adapter' | 'site' | 'nothing';
  /** Whether its router can add a loss. Default false. */
  readonly hasLoss?: boolean;
  /** Number of tasks that its router knows from the context's `task`. Default: it does not read tasks. */
  readonly tasks?: number | undefined;
  /** Declares all weights. Called once, before `parts`. */
  build(dims: SiteDims, add: AddWeight): void;
  parts(view: AdapterView): CombineParts;
  /** Number of tokens that `prepend` returns. Default 0. */
  readonly virtualTokens?: number;
  /**
   * With `virtualTokens`: returns tokens [batch, virtualTokens, outputDim] to put before the output, a batch
   * of sequences.
   */
  prepend?(view: AdapterView): Tensor;
  /** A JSON config with all defaults, from which `createAdapter` makes an equal adapter. */
  getConfig(): AdapterConfig;
}

/**
 * Configs by adapter type. Each adapter's file adds its own by declaration merging; a package with its own
 * adapter does the same.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is empty here, so that this file names no adapter.
export interface AdapterConfigs {}

/** Options that every adapter has; a config has them only where they are set. */
export interface CommonOptions {
  /**
   * The probability, in training, with which an entry of the adapter's input becomes 0; the others grow by
   * 1 / (1 - dropout). The seed of the upgrade says which. From 0 to below 1. Default 0.
   *
   * It acts on the input of the adapter's own matrices; routers read the whole input. In DoRA, and in LiME
   * over DoRA or a slice, the frozen product gets the same input (as in Kowsher/LiME; PEFT's DoRA leaves it
   * there). At an Embedding, a token's change is dropped as a whole. At (IA)³ and MoV, which have no matrix,
   * it acts on what they change of the output, entry by entry; that form is ours.
   */
  dropout?: number;
}

/** The config of any known adapter, discriminated by `type`. */
export type AdapterConfig = AdapterConfigs[keyof AdapterConfigs] & CommonOptions;
