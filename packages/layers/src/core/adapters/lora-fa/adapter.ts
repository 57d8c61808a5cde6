import type {Tensor2D} from '@tensorflow/tfjs-core';
import type {CombineParts} from '@tfjs-peft/kernels';
import {type AddWeight, checkOptions, type Weight} from '@tfjs-peft/routers';
import type {Adapter, AdapterView, SiteDims} from '../adapter.js';
import {
  addFactors,
  type BiasOption,
  checkScale,
  kaiming,
  LoraBias,
  SCALE_OPTIONS,
  type Scaled,
  type ScaleOptions,
  scaleOf,
} from '../low-rank.js';
import {defineAdapter} from '../registry.js';

/** Config of {@link LoraFaAdapter}. */
export interface LoraFaConfig extends ScaleOptions, BiasOption {
  type: 'lora-fa';
  /** Default 8. */
  rank?: number;
}

const OPTIONS = [...SCALE_OPTIONS, 'loraBias'] as const;

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
  private readonly bias: LoraBias;
  private a!: Weight;
  private b!: Weight;

  /** @throws ConfigError if an option is unknown, rank is not an integer >= 1, or alpha is 0. */
  constructor(config: LoraFaConfig) {
    const what = 'lora-fa adapter';
    checkOptions(what, config, ['type', ...OPTIONS]);
    this.scaled = checkScale(what, config, 8);
    this.bias = new LoraBias(what, config);
  }

  build(dims: SiteDims, add: AddWeight): void {
    const random = kaiming(dims.inputDim);
    const {rank} = this.scaled;
    ({a: this.a, b: this.b} = addFactors(add, dims, {down: rank, up: rank, random, fixed: true}));
    this.bias.build(dims, add);
  }

  parts({project}: AdapterView): CombineParts {
    const {h} = project({a: this.a.read() as Tensor2D});
    const scale = scaleOf(this.scaled);
    return {h, b: this.b.read() as Tensor2D, scale, ...this.bias.parts(scale)};
  }

  getConfig(): LoraFaConfig {
    return {type: 'lora-fa', ...this.scaled, ...this.bias.config};
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
