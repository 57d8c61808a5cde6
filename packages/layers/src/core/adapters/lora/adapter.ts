import type {Tensor2D} from '@tensorflow/tfjs-core';
import type {CombineParts} from '@tfjs-peft/kernels';
import {
  type AddWeight,
  checkCount,
  checkOptions,
  checkPositive,
  type Init,
  type Weight,
} from '@tfjs-peft/routers';
import type {Adapter, AdapterView, SiteDims} from '../adapter.js';
import {addFactors} from '../low-rank.js';

/** Config of {@link LoraAdapter}. */
export interface LoraConfig {
  type: 'lora';
  /** Default 8. */
  rank?: number;
  /** The delta is scaled by alpha / rank. Default 16. */
  alpha?: number;
}

/** The options that {@link LoraConfig} knows. */
export const LORA_OPTIONS = ['type', 'rank', 'alpha'] as const;

/** The deviation of A's initial values, as the authors' code of MoV and MoLoRA has it for its LoRA too. */
export const A_STDDEV = 0.02;

/**
 * LoRA (Hu et al., arXiv 2106.09685): y = act(x W + b + (alpha / rank) · (x A) B). Weights `lora_A` [inputDim, rank] from
 * N(0, 0.02²) and `lora_B` [rank, outputDim] zeros, so that the site starts unchanged.
 */
export class LoraAdapter implements Adapter {
  readonly type = 'lora';
  private readonly rank: number;
  private readonly alpha: number;
  private a!: Weight;
  private b!: Weight;

  /** @throws ConfigError if an option is unknown, rank is not an integer >= 1, or alpha is not above 0. */
  constructor(config: LoraConfig) {
    const what = 'lora adapter';
    checkOptions(what, config, LORA_OPTIONS);
    this.rank = checkCount(what, 'rank', config.rank, {fallback: 8});
    this.alpha = checkPositive(what, 'alpha', config.alpha, 16);
  }

  build(dims: SiteDims, add: AddWeight): void {
    const random: Init = {type: 'normal', stddev: A_STDDEV};
    ({a: this.a, b: this.b} = addFactors(add, dims, {down: this.rank, up: this.rank, random}));
  }

  parts({project}: AdapterView): CombineParts {
    const {h} = project({a: this.a.read() as Tensor2D});
    return {h, b: this.b.read() as Tensor2D, scale: this.alpha / this.rank};
  }

  getConfig(): LoraConfig {
    return {type: 'lora', rank: this.rank, alpha: this.alpha};
  }
}
