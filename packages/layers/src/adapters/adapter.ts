import type {Tensor, Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import type {CombineParts} from '@tfjs-peft/kernels';
import type {AddWeight, RouterContext, Routing} from '@tfjs-peft/routers';
import type {DoraConfig} from './dora/adapter.js';
import type {Ia3Config} from './ia3/adapter.js';
import type {LimeConfig} from './lime/adapter.js';
import type {LoraConfig} from './lora/adapter.js';
import type {LoraFaConfig} from './lora-fa/adapter.js';
import type {MoloraConfig} from './molora/adapter.js';
import type {Mor1eConfig} from './mor1e/adapter.js';
import type {MovConfig} from './mov/adapter.js';

/** Widths of a site: the last axis of its input and of its output. */
export interface SiteDims {
  inputDim: number;
  outputDim: number;
}

/** What an adapter sees of a site. */
export interface AdapterView {
  /** The site's input, [..., inputDim], float32. */
  input: Tensor;
  training: boolean;
  /** The frozen kernel, [inputDim, outputDim]. */
  kernel: Tensor2D;
  /** The frozen bias, [outputDim], where there is one. */
  bias?: Tensor1D;
  /** What the batch brings along. */
  context?: RouterContext;
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
  /** Whether what it observes may carry a loss. Default false. */
  readonly hasLoss?: boolean;
  /** Declares the weights; called once, before `parts`. The only place that says which weights there are. */
  build(dims: SiteDims, add: AddWeight): void;
  parts(view: AdapterView): CombineParts;
  /** JSON-able, with all defaults filled in; `createAdapter` makes an equal adapter of it. */
  getConfig(): AdapterConfig;
}

/** Configs by adapter type. A package that registers an adapter of its own adds to it by declaration merging. */
export interface AdapterConfigs {
  lora: LoraConfig;
  dora: DoraConfig;
  'lora-fa': LoraFaConfig;
  ia3: Ia3Config;
  mov: MovConfig;
  molora: MoloraConfig;
  mor1e: Mor1eConfig;
  lime: LimeConfig;
}

/** The config of any known adapter, told apart by `type`. */
export type AdapterConfig = AdapterConfigs[keyof AdapterConfigs];
