import type {Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import type {CombineParts} from '@tfjs-peft/kernels';
import {type AddWeight, checkBoolean, checkOptions, type Weight} from '@tfjs-peft/routers';
import type {Adapter, AdapterView, SiteDims} from '../adapter.js';
import {
  addFactors,
  type Change,
  checkScale,
  columnNorms,
  kaiming,
  SCALE_OPTIONS,
  type Scaled,
  type ScaleOptions,
  scaleOf,
} from '../low-rank.js';
import {defineAdapter} from '../registry.js';

/** Config of {@link DoraAdapter}. */
export interface DoraConfig extends ScaleOptions {
  type: 'dora';
  /** Default 8. */
  rank?: number;
  /**
   * Let the gradient flow through the norm too. Default false: the norm is a constant, as in section 4.3 of
   * the paper.
   */
  normGradient?: boolean;
}

const OPTIONS = [...SCALE_OPTIONS, 'normGradient'] as const;

/**
 * DoRA (Liu et al., arXiv 2402.09353, equation 5): y = act(c ∘ (x W + (alpha / rank) · (x A) B) + b), with c
 * = m / |W + (alpha / rank) A B|, the norm of each column. Weights `lora_A` [inputDim, rank] from
 * U(±1/√inputDim), `lora_B` [rank, outputDim] zeros, and `magnitude` m [outputDim], the norms of W's columns,
 * so the site starts unchanged. The bias is not scaled.
 *
 * @example
 * ```ts
 * import {DoraAdapter} from '@tfjs-peft/layers';
 *
 * const adapter = new DoraAdapter({type: 'dora', rank: 8});
 * ```
 */
export class DoraAdapter implements Adapter {
  readonly type = 'dora';
  readonly dropsAt = 'site';
  private readonly config: Scaled & {type: 'dora'; normGradient: boolean};
  private a!: Weight;
  private b!: Weight;
  private magnitude!: Weight;

  /** @throws ConfigError if an option is unknown, rank is not an integer >= 1, or alpha is 0. */
  constructor(config: DoraConfig) {
    const what = 'dora adapter';
    checkOptions(what, config, ['type', ...OPTIONS]);
    this.config = {
      type: 'dora',
      ...checkScale(what, config, 8),
      normGradient: checkBoolean(what, 'normGradient', config.normGradient, false),
    };
  }

  build(dims: SiteDims, add: AddWeight): void {
    const {rank} = this.config;
    ({a: this.a, b: this.b} = addFactors(add, dims, {down: rank, up: rank, random: kaiming(dims.inputDim)}));
    this.magnitude = add('magnitude', [dims.outputDim], {type: 'columnNorms'});
  }

  parts({kernel, bias, project}: AdapterView): CombineParts {
    const {normGradient} = this.config;
    const [a, b] = [this.a.read(), this.b.read()] as [Tensor2D, Tensor2D];
    const change = {kernel, a, b, scale: scaleOf(this.config)};
    const norms = normGradient ? columnNorms(change) : constantNorms(change);
    const factor = tf.div(this.magnitude.read(), norms) as Tensor1D;
    const {h} = project({a});
    return {
      h,
      b,
      scale: change.scale,
      alpha: factor,
      beta: factor,
      // The base product comes with its bias, which alpha scales along.
      ...(bias && {offset: tf.mul(bias, tf.sub(1, factor)) as Tensor1D}),
    };
  }

  getConfig(): DoraConfig {
    return {...this.config};
  }
}

/** {@link columnNorms} as a constant: the forward function of a custom gradient is off the tape. */
function constantNorms(change: Change): Tensor1D {
  const norms = tf.customGrad((a) => ({
    value: columnNorms(change),
    gradFunc: () => tf.zerosLike(a as Tensor2D),
  }));
  return norms(change.a) as Tensor1D;
}

defineAdapter({
  type: 'dora',
  summary: 'LoRA with the columns of the kernel rescaled to a learned length',
  options: OPTIONS,
  learningRate: 0.003,
  examples: [{type: 'dora', rank: 2}],
  create: (config) => new DoraAdapter(config),
});

declare module '../adapter.js' {
  interface AdapterConfigs {
    dora: DoraConfig;
  }
}
