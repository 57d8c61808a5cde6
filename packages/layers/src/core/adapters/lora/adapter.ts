import type {Tensor2D} from '@tensorflow/tfjs-core';
import type {CombineParts} from '@tfjs-peft/kernels';
import {type AddWeight, checkOptions, type Init, type Weight} from '@tfjs-peft/routers';
import type {Adapter, AdapterView, SiteDims} from '../adapter.js';
import {
  A_STDDEV,
  addFactors,
  type BiasOption,
  checkScale,
  LoraBias,
  SCALE_OPTIONS,
  type Scaled,
  type ScaleOptions,
  scaleOf,
} from '../low-rank.js';
import {defineAdapter} from '../registry.js';

/** Config of {@link LoraAdapter}. */
export interface LoraConfig extends ScaleOptions, BiasOption {
  type: 'lora';
  /** Default 8. */
  rank?: number;
}

const OPTIONS = [...SCALE_OPTIONS, 'loraBias'] as const;

/**
 * LoRA (Hu et al., arXiv 2106.09685): y = act(x W + b + (alpha / rank) · (x A) B). Weights `lora_A`
 * [inputDim, rank] from N(0, 0.02²) and `lora_B` [rank, outputDim] zeros, so the site starts unchanged.
 *
 * @example
 * ```ts
 * import {LoraAdapter} from '@tfjs-peft/layers';
 *
 * const adapter = new LoraAdapter({type: 'lora', rank: 8, alpha: 16});
 * ```
 */
export class LoraAdapter implements Adapter {
  readonly type = 'lora';
  private readonly scaled: Scaled;
  private readonly bias: LoraBias;
  private a!: Weight;
  private b!: Weight;

  /** @throws ConfigError if an option is unknown, rank is not an integer >= 1, or alpha is 0. */
  constructor(config: LoraConfig) {
    const what = 'lora adapter';
    checkOptions(what, config, ['type', ...OPTIONS]);
    this.scaled = checkScale(what, config, 8);
    this.bias = new LoraBias(what, config);
  }

  build(dims: SiteDims, add: AddWeight): void {
    const random: Init = {type: 'normal', stddev: A_STDDEV};
    const {rank} = this.scaled;
    ({a: this.a, b: this.b} = addFactors(add, dims, {down: rank, up: rank, random}));
    this.bias.build(dims, add);
  }

  parts({project}: AdapterView): CombineParts {
    const {h} = project({a: this.a.read() as Tensor2D});
    const scale = scaleOf(this.scaled);
    return {h, b: this.b.read() as Tensor2D, scale, ...this.bias.parts(scale)};
  }

  getConfig(): LoraConfig {
    return {type: 'lora', ...this.scaled, ...this.bias.config};
  }
}

defineAdapter({
  type: 'lora',
  summary: 'act(x W + b + (alpha / rank) (x A) B)',
  options: OPTIONS,
  learningRate: 0.003,
  examples: [
    {type: 'lora', rank: 2},
    {type: 'lora', rank: 2, useRslora: true, loraBias: true},
  ],
  create: (config) => new LoraAdapter(config),
});

declare module '../adapter.js' {
  interface AdapterConfigs {
    lora: LoraConfig;
  }
}
