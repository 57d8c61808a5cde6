import {ConfigError, checkCount, checkOptions} from '@tfjs-peft/kernels';
import {defineRouter} from '../define.js';
import type {Router, RouterView, Routing} from '../router.js';
import type {AddWeight} from '../weights.js';
import {SoftmaxRouter} from './softmax.js';

/** Config of {@link TopKRouter}. */
export interface TopKRouterConfig {
  type: 'top-k';
  /** Number of experts, at least 1. */
  experts: number;
  /**
   * Number of experts kept per token, at least 2 unless there is only one. Default 2, or 1 if there is one
   * expert.
   */
  topK?: number;
  /** Divides the logits. Default 1. */
  temperature?: number;
  /**
   * In training, multiply the router's copy of the input by uniform numbers from 1 - jitter to 1 + jitter.
   * Default 0.
   */
  jitter?: number;
}

const OPTIONS = ['topK', 'temperature', 'jitter'] as const;

/**
 * The softmax over the k largest logits x W / temperature, as in Mixtral (Jiang et al., arXiv 2401.04088,
 * section 2.1): the gates of the k experts sum to 1, and those of the others are 0. Ties go to the lower
 * index. It is short for {@link SoftmaxRouter} with `topK` and `renormalize`. Weight `router` W [d, experts]
 * from N(0, 0.02²).
 *
 * @example
 * ```ts
 * import {TopKRouter} from '@tfjs-peft/routers';
 *
 * const router = new TopKRouter({type: 'top-k', experts: 8, topK: 2});
 * ```
 */
export class TopKRouter implements Router {
  readonly experts: number;
  readonly normalized = true;
  private readonly config: TopKRouterConfig;
  private readonly softmax: SoftmaxRouter;

  /**
   * @throws ConfigError if an option is unknown or out of range, or topK is 1 and there are several experts.
   */
  constructor(config: TopKRouterConfig) {
    const what = 'top-k router';
    checkOptions(what, config, ['type', 'experts', ...OPTIONS]);
    const experts = checkCount(what, 'experts', config.experts);
    const topK = checkCount(what, 'topK', config.topK, {max: experts, fallback: Math.min(2, experts)});
    if (topK === 1 && experts > 1) {
      throw new ConfigError(
        `${what}: topK is 1, so every token's gate would be 1 and the router could not learn. ` +
          "Set topK to at least 2, or use {type: 'softmax', topK: 1}.",
      );
    }
    const {temperature, jitter} = config;
    const more = {...(temperature !== undefined && {temperature}), ...(jitter !== undefined && {jitter})};
    this.softmax = new SoftmaxRouter({type: 'softmax', experts, topK, renormalize: true, ...more});
    this.experts = experts;
    const {renormalize: _, ...known} = this.softmax.getConfig();
    this.config = {...known, type: 'top-k'};
  }

  build(inputDim: number, add: AddWeight): void {
    this.softmax.build(inputDim, add);
  }

  route(view: RouterView): Routing {
    return this.softmax.route(view);
  }

  getConfig(): TopKRouterConfig {
    return {...this.config};
  }
}

defineRouter({
  type: 'top-k',
  summary: 'the softmax over the k largest logits',
  options: OPTIONS,
  examples: [{type: 'top-k'}, {type: 'top-k', temperature: 0.7, jitter: 0.2}],
  create: (config) => new TopKRouter(config),
});

declare module '../router.js' {
  interface RouterConfigs {
    'top-k': TopKRouterConfig;
  }
}
