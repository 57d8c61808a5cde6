import type {Tensor} from '@tensorflow/tfjs-core';
import type {CombineParts} from '@tfjs-peft/kernels';
import type {AddWeight} from '@tfjs-peft/routers';
import type {Ia3Config} from './ia3/adapter.js';
import type {LoraConfig} from './lora/adapter.js';
import type {MoloraConfig} from './molora/adapter.js';
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
}

/**
 * A way to change a frozen projection. It declares its weights once and then, batch by batch, fills in parts of the site's
 * expression (see `combine` of `@tfjs-peft/kernels`); it never computes an output, and knows neither layer nor backend.
 */
export interface Adapter {
  readonly type: string;
  /** Declares the weights; called once, before `parts`. The only place that says which weights there are. */
  build(dims: SiteDims, add: AddWeight): void;
  parts(view: AdapterView): CombineParts;
  /** JSON-able, with all defaults filled in; `createAdapter` makes an equal adapter of it. */
  getConfig(): AdapterConfig;
}

/** Configs by adapter type. A package that registers an adapter of its own adds to it by declaration merging. */
export interface AdapterConfigs {
  lora: LoraConfig;
  ia3: Ia3Config;
  molora: MoloraConfig;
  mov: MovConfig;
}

/** The config of any known adapter, told apart by `type`. */
export type AdapterConfig = AdapterConfigs[keyof AdapterConfigs];
