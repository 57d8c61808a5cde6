import type {Tensor2D} from '@tensorflow/tfjs-core';
import type {CombineParts} from '@tfjs-peft/kernels';
import {
  type AddWeight,
  checkCount,
  checkOptions,
  type Init,
  type Router,
  type Weight,
} from '@tfjs-peft/routers';
import type {Adapter, AdapterView, SiteDims} from '../adapter.js';
import {
  A_STDDEV,
  addFactors,
  checkScale,
  SCALE_OPTIONS,
  type Scaled,
  type ScaleOptions,
  scaleOf,
} from '../low-rank.js';
import {defineAdapter} from '../registry.js';
import {type AdapterRouterConfig, configOf, routeAt, routerOf} from '../router-of.js';

/** Config of {@link MoloraAdapter}. */
export interface MoloraConfig extends ScaleOptions {
  type: 'molora';
  /** Default 4. */
  experts?: number;
  /** Rank of each expert. Default 4. */
  rank?: number;
  /** Default `{type: 'softmax'}`, which merges all experts softly. */
  router?: AdapterRouterConfig;
}

const OPTIONS = ['experts', ...SCALE_OPTIONS, 'router'] as const;

/**
 * MoLoRA (Zadouri et al., arXiv 2309.05444): y = act(x W + b + (alpha / rank) Σ_e g_e(x) · (x A_e) B_e), with
 * gates g from a router that reads the site's input. The experts' outputs are mixed; their A and B are never
 * averaged. The paper and the released code (for-ai/parameter-efficient-moe, src/molora.py) agree at a Dense
 * site.
 *
 * Weights: `lora_A` [inputDim, experts · rank], the experts side by side, from N(0, 0.02²); `lora_B` [experts
 * · rank, outputDim] zeros, so the site starts unchanged; and those of the router.
 *
 * @example
 * ```ts
 * import {MoloraAdapter} from '@tfjs-peft/layers';
 *
 * const adapter = new MoloraAdapter({type: 'molora', experts: 4, rank: 4, router: {type: 'top-k', topK: 2}});
 * ```
 */
export class MoloraAdapter implements Adapter {
  readonly type = 'molora';
  readonly hasLoss: boolean;
  private readonly scaled: Scaled;
  private readonly router: Router;
  private a!: Weight;
  private b!: Weight;

  /**
   * @throws ConfigError if an option is unknown, experts or rank is not an integer >= 1, alpha is not above
   * 0, or the router's config is invalid, such as topK above experts.
   */
  constructor(config: MoloraConfig) {
    const what = 'molora adapter';
    checkOptions(what, config, ['type', ...OPTIONS]);
    const experts = checkCount(what, 'experts', config.experts, {fallback: 4});
    this.scaled = checkScale(what, config, 4);
    this.router = routerOf(what, experts, config.router);
    this.hasLoss = this.router.hasLoss ?? false;
  }

  get tasks(): number | undefined {
    return this.router.tasks;
  }

  build(dims: SiteDims, add: AddWeight): void {
    const width = this.router.experts * this.scaled.rank;
    const random: Init = {type: 'normal', stddev: A_STDDEV};
    ({a: this.a, b: this.b} = addFactors(add, dims, {down: width, up: width, random}));
    this.router.build(dims.routerDim ?? dims.inputDim, add);
  }

  parts(view: AdapterView): CombineParts {
    const {gates, topK} = routeAt(this.router, view);
    const {h} = view.project({a: this.a.read() as Tensor2D, gates, topK});
    return {h, gates, topK, b: this.b.read() as Tensor2D, scale: scaleOf(this.scaled), mix: 'expert'};
  }

  getConfig(): MoloraConfig {
    return {
      type: 'molora',
      experts: this.router.experts,
      ...this.scaled,
      router: configOf(this.router),
    };
  }
}

defineAdapter({
  type: 'molora',
  summary: 'act(x W + b + (alpha / rank) Σ g_e (x A_e) B_e)',
  options: OPTIONS,
  learningRate: 0.003,
  examples: [{type: 'molora', experts: 3, rank: 2}],
  create: (config) => new MoloraAdapter(config),
});

declare module '../adapter.js' {
  interface AdapterConfigs {
    molora: MoloraConfig;
  }
}
