import * as tf from '@tensorflow/tfjs-core';
import {checkCount, checkOptions, checkPositive, matMul} from '@tfjs-peft/kernels';
import {defineRouter} from '../define.js';
import {atEveryPosition, sampleTensor} from '../per-sample.js';
import type {Router, RouterView, Routing} from '../router.js';
import type {AddWeight, Weight} from '../weights.js';

/** Config of {@link SentenceRouter}. */
export interface SentenceRouterConfig {
  type: 'sentence';
  /** Number of experts, at least 1. */
  experts: number;
  /** Width of the sentence embedding. */
  width: number;
  /** Divides the logits. Default 1. */
  temperature?: number;
}

const OPTIONS = ['width', 'temperature'] as const;

/**
 * The sentence router of MoV's ablation (Zadouri et al., arXiv 2309.05444): routes all tokens of a sample by
 * softmax(s W / temperature) of its sentence embedding s. It reads the context's `sentence` [batch, width].
 * Weight `router` W [width, experts] from N(0, 0.02²).
 *
 * @example
 * ```ts
 * import {SentenceRouter} from '@tfjs-peft/routers';
 *
 * const router = new SentenceRouter({type: 'sentence', experts: 4, width: 384});
 * ```
 */
export class SentenceRouter implements Router {
  readonly experts: number;
  readonly normalized = true;
  private readonly config: Required<SentenceRouterConfig>;
  private kernel!: Weight;

  /** @throws ConfigError if an option is unknown or out of range. */
  constructor(config: SentenceRouterConfig) {
    const what = 'sentence router';
    checkOptions(what, config, ['type', 'experts', ...OPTIONS]);
    this.experts = checkCount(what, 'experts', config.experts);
    this.config = {
      type: 'sentence',
      experts: this.experts,
      width: checkCount(what, 'width', config.width),
      temperature: checkPositive(what, 'temperature', config.temperature, 1),
    };
  }

  build(_inputDim: number, add: AddWeight): void {
    this.kernel = add('router', [this.config.width, this.experts], {type: 'normal', stddev: 0.02});
  }

  /** @throws ConfigError if the context has no sentence embedding; ShapeError if its shape does not fit. */
  route(view: RouterView): Routing {
    return tf.tidy(() => {
      const sentence = sampleTensor('sentence router', 'sentence', this.config.width, view);
      const logits = tf.div(matMul(sentence, this.kernel.read()), this.config.temperature);
      const gates = atEveryPosition(tf.softmax(logits) as tf.Tensor2D, view.input);
      return {gates, probabilities: gates};
    });
  }

  getConfig(): SentenceRouterConfig {
    return {...this.config};
  }
}

defineRouter({
  type: 'sentence',
  summary: 'softmax(s W / temperature) of the sentence embedding s',
  options: OPTIONS,
  context: ['sentence'],
  examples: [{type: 'sentence', width: 4}],
  create: (config) => new SentenceRouter(config),
});

declare module '../router.js' {
  interface RouterConfigs {
    sentence: SentenceRouterConfig;
  }
}
