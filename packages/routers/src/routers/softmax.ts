import * as tf from '@tensorflow/tfjs-core';
import {
  checkBoolean,
  checkCount,
  checkNumber,
  checkOptions,
  checkPositive,
  softmaxGates,
  topKGates,
} from '@tfjs-peft/kernels';
import {warnOfConstantGates} from '../constant-gates.js';
import {defineRouter} from '../define.js';
import {jitterOf} from '../noise.js';
import type {Router, RouterView, Routing} from '../router.js';
import type {AddWeight, Weight} from '../weights.js';

/** Config of {@link SoftmaxRouter}. */
export interface SoftmaxRouterConfig {
  type: 'softmax';
  /** Number of experts, at least 1. */
  experts: number;
  /** Divides the logits. Default 1. */
  temperature?: number;
  /** Keep only the gates of the k most probable experts. Default: all experts (soft merging). */
  topK?: number;
  /**
   * After `topK`, scale the kept gates to sum to 1. Default false. With `topK: 1` the single gate is then
   * always 1 and the router cannot learn; a warning says so.
   */
  renormalize?: boolean;
  /**
   * In training, multiply the router's copy of the input by uniform numbers from 1 - jitter to 1 + jitter.
   * Default 0.
   */
  jitter?: number;
}

const OPTIONS = ['temperature', 'topK', 'renormalize', 'jitter'] as const;

const KERNEL_STDDEV = 0.02;

/**
 * The router of MoV and MoLoRA: p = softmax(x W / temperature) over the experts, one linear map without a
 * bias (Zadouri et al., arXiv 2309.05444, section 2: soft merging). Weight `router`: W [d, experts], N(0,
 * 0.02²).
 *
 * With `topK`, the gates are p times a 0/1 mask of the k largest; ties go to the lower index. They are not
 * renormalised, and no gradient flows through the mask, as in the authors' released code
 * (for-ai/parameter-efficient-moe, src/routing.py). The gates then sum to less than 1, so MoV does not start
 * as the identity unless `renormalize` is set. The temperature is our addition. The jitter of the released
 * code also acts in evaluation; ours does not.
 *
 * @example
 * ```ts
 * import {SoftmaxRouter} from '@tfjs-peft/routers';
 *
 * const router = new SoftmaxRouter({type: 'softmax', experts: 4, topK: 2});
 * ```
 */
export class SoftmaxRouter implements Router {
  readonly experts: number;
  readonly normalized: boolean;
  private readonly config: SoftmaxRouterConfig;
  private kernel!: Weight;

  /**
   * @throws ConfigError if an option is unknown, experts < 1, temperature <= 0, or topK is not from 1 to
   * experts.
   */
  constructor(config: SoftmaxRouterConfig) {
    const what = 'softmax router';
    checkOptions(what, config, ['type', 'experts', ...OPTIONS]);
    this.experts = checkCount(what, 'experts', config.experts);
    this.config = {
      type: 'softmax',
      experts: this.experts,
      temperature: checkPositive(what, 'temperature', config.temperature, 1),
      ...(config.topK !== undefined && {topK: checkCount(what, 'topK', config.topK, {max: this.experts})}),
      renormalize: checkBoolean(what, 'renormalize', config.renormalize, false),
      ...(config.jitter !== undefined && {
        jitter: checkNumber(what, 'jitter', config.jitter, {min: 0, max: 1}),
      }),
    };
    const {topK = this.experts, renormalize} = this.config;
    warnOfConstantGates(what, this.experts, topK, renormalize!);
    this.normalized = topK === this.experts || renormalize!;
  }

  build(inputDim: number, add: AddWeight): void {
    this.kernel = add('router', [inputDim, this.experts], {type: 'normal', stddev: KERNEL_STDDEV});
  }

  route({input, training, context}: RouterView): Routing {
    const {temperature, topK, renormalize, jitter = 0} = this.config;
    return tf.tidy(() => {
      let seen = input;
      if (training && jitter > 0) {
        seen = tf.mul(input, jitterOf('softmax router', jitter, context, input.shape));
      }
      const probabilities = softmaxGates(seen, this.kernel.read() as tf.Tensor2D, temperature);
      if (topK === undefined || topK === this.experts) return {gates: probabilities, probabilities};
      return {gates: topKGates(probabilities, topK, renormalize), probabilities, topK};
    });
  }

  getConfig(): SoftmaxRouterConfig {
    return {...this.config};
  }
}

defineRouter({
  type: 'softmax',
  summary: 'softmax(x W / temperature), all or the k largest',
  options: OPTIONS,
  examples: [
    {type: 'softmax'},
    {type: 'softmax', topK: 2, temperature: 0.7, jitter: 0.2},
    {type: 'softmax', topK: 2, renormalize: true},
  ],
  create: (config) => new SoftmaxRouter(config),
});

declare module '../router.js' {
  interface RouterConfigs {
    softmax: SoftmaxRouterConfig;
  }
}
