import type {Tensor2D} from '@tensorflow/tfjs-core';
import type {CombineParts} from '@tfjs-peft/kernels';
import {type AddWeight, checkOptions, type Weight} from '@tfjs-peft/routers';
import type {Adapter, AdapterView, SiteDims} from '../adapter.js';
import {addFactors, checkScale, kaiming, type Scaled, scaleOf} from '../low-rank.js';
import {defineAdapter} from '../registry.js';

/** Config of {@link LoraFaAdapter}. */
export interface LoraFaConfig {
  type: 'lora-fa';
  /** Default 8. */
  rank?: number;
  /** The delta is scaled by alpha / rank. Default 2 · rank. */
  alpha?: number;
}

const OPTIONS = ['rank', 'alpha'] as const;

/**
 * LoRA-FA (Zhang et al., arXiv 2308.03303): LoRA with a frozen down projection, y = act(x W + b + (alpha /
 * rank) · (x A) B). Weights `lora_A` [inputDim, rank] from U(±1/√inputDim), saved but not trained, and
 * `lora_B` [rank, outputDim] zeros, so the site starts unchanged. In an Embedding, A starts at zero and is
 * trained, and B is frozen.
 *
 * @example
 * ```ts
 * import {LoraFaAdapter} from '@tfjs-peft/layers';
 *
 * const adapter = new LoraFaAdapter({type: 'lora-fa', rank: 16});
 * ```
 */
export class LoraFaAdapter implements Adapter {
  readonly type = 'lora-fa';
  private readonly scaled: Scaled;
  private a!: Weight;
  private b!: Weight;

  /** @throws ConfigError if an option is unknown, rank is not an integer >= 1, or alpha is not above 0. */
  constructor(config: LoraFaConfig) {
    const what = 'lora-fa adapter';
    checkOptions(what, config, ['type', ...OPTIONS]);
    this.scaled = checkScale(what, config, 8);
  }

  build(dims: SiteDims, add: AddWeight): void {
    const random = kaiming(dims.inputDim);
    const {rank} = this.scaled;
    ({a: this.a, b: this.b} = addFactors(add, dims, {down: rank, up: rank, random, fixed: true}));
  }

  parts({project}: AdapterView): CombineParts {
    const {h} = project({a: this.a.read() as Tensor2D});
    return {h, b: this.b.read() as Tensor2D, scale: scaleOf(this.scaled)};
  }

  getConfig(): LoraFaConfig {
    return {type: 'lora-fa', ...this.scaled};
  }
}

defineAdapter({
  type: 'lora-fa',
  summary: 'LoRA with A frozen',
  options: OPTIONS,
  learningRate: 0.003,
  examples: [{type: 'lora-fa', rank: 2}],
  create: (config) => new LoraFaAdapter(config),
});

declare module '../adapter.js' {
  interface AdapterConfigs {
    'lora-fa': LoraFaConfig;
  }
}
