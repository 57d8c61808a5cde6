import type {Tensor2D} from '@tensorflow/tfjs-core';
import type {CombineParts} from '@tfjs-peft/kernels';
import {type AddWeight, checkCount, checkOptions, checkPositive, type Weight} from '@tfjs-peft/routers';
import type {Adapter, AdapterView, SiteDims} from '../adapter.js';
import {addFactors, kaiming} from '../low-rank.js';

/** Config of {@link LoraFaAdapter}. */
export interface LoraFaConfig {
  type: 'lora-fa';
  /** Default 8. */
  rank?: number;
  /** The delta is scaled by alpha / rank. Default 16. */
  alpha?: number;
}

/** The options that {@link LoraFaConfig} knows. */
export const LORA_FA_OPTIONS = ['type', 'rank', 'alpha'] as const;

/**
 * LoRA-FA (Zhang et al., arXiv 2308.03303): LoRA whose down projection stays as it started, y = act(x W + b + (alpha / rank) · (x A) B).
 * Weights `lora_A` [inputDim, rank] from U(±1/√inputDim), saved but not trained, and `lora_B` [rank, outputDim] zeros, so that the
 * site starts unchanged. Where A is looked up, in an Embedding, it is A that starts at zero and is trained, and B that stays.
 */
export class LoraFaAdapter implements Adapter {
  readonly type = 'lora-fa';
  private readonly rank: number;
  private readonly alpha: number;
  private a!: Weight;
  private b!: Weight;

  /** @throws ConfigError if an option is unknown, rank is not an integer >= 1, or alpha is not above 0. */
  constructor(config: LoraFaConfig) {
    const what = 'lora-fa adapter';
    checkOptions(what, config, LORA_FA_OPTIONS);
    this.rank = checkCount(what, 'rank', config.rank, {fallback: 8});
    this.alpha = checkPositive(what, 'alpha', config.alpha, 16);
  }

  build(dims: SiteDims, add: AddWeight): void {
    const random = kaiming(dims.inputDim);
    ({a: this.a, b: this.b} = addFactors(add, dims, {down: this.rank, up: this.rank, random, fixed: true}));
  }

  parts({project}: AdapterView): CombineParts {
    const {h} = project({a: this.a.read() as Tensor2D});
    return {h, b: this.b.read() as Tensor2D, scale: this.alpha / this.rank};
  }

  getConfig(): LoraFaConfig {
    return {type: 'lora-fa', rank: this.rank, alpha: this.alpha};
  }
}
