import * as tf from '@tensorflow/tfjs-core';
import {checkCount, checkOptions, checkPositive} from '@tfjs-peft/kernels';
import {defineRouter} from '../define.js';
import {atEveryPosition, sampleTensor} from '../per-sample.js';
import type {Router, RouterView, Routing} from '../router.js';

/** Config of {@link IntuitionRouter}. */
export interface IntuitionRouterConfig {
  type: 'intuition';
  /** Number of experts, one for each cluster of the intuition. */
  experts: number;
  /** Divides the scores. Default 1. */
  temperature?: number;
}

const OPTIONS = ['temperature'] as const;

/**
 * Routes each sample by its scores against the clusters of an intuition: softmax(scores / temperature), the
 * same for all tokens of the sample. It reads the context's `intuition` [batch, experts]. The scores are
 * those of MoR1E (arXiv 2404.08985; see `fitIntuition`); the softmax is ours. No weights.
 *
 * @example
 * ```ts
 * import {IntuitionRouter} from '@tfjs-peft/routers';
 *
 * const router = new IntuitionRouter({type: 'intuition', experts: 8, temperature: 0.5});
 * ```
 */
export class IntuitionRouter implements Router {
  readonly experts: number;
  readonly normalized = true;
  private readonly temperature: number;

  /** @throws ConfigError if an option is unknown or out of range. */
  constructor(config: IntuitionRouterConfig) {
    const what = 'intuition router';
    checkOptions(what, config, ['type', 'experts', ...OPTIONS]);
    this.experts = checkCount(what, 'experts', config.experts);
    this.temperature = checkPositive(what, 'temperature', config.temperature, 1);
  }

  build(): void {}

  /** @throws ConfigError if the context has no intuition; ShapeError if its shape does not fit. */
  route(view: RouterView): Routing {
    return tf.tidy(() => {
      const scores = sampleTensor('intuition router', 'intuition', this.experts, view);
      const gates = atEveryPosition(tf.softmax(tf.div(scores, this.temperature)) as tf.Tensor2D, view.input);
      return {gates, probabilities: gates};
    });
  }

  getConfig(): IntuitionRouterConfig {
    return {type: 'intuition', experts: this.experts, temperature: this.temperature};
  }
}

defineRouter({
  type: 'intuition',
  summary: "softmax(scores / temperature) of the sample's scores",
  options: OPTIONS,
  context: ['intuition'],
  examples: [{type: 'intuition'}, {type: 'intuition', temperature: 2}],
  create: (config) => new IntuitionRouter(config),
});

declare module '../router.js' {
  interface RouterConfigs {
    intuition: IntuitionRouterConfig;
  }
}
