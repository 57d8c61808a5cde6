import * as tf from '@tensorflow/tfjs-core';
import {checkBoolean, checkCount, checkNumber, checkOptions, matMul, topKGates} from '@tfjs-peft/kernels';
import {warnOfConstantGates} from '../constant-gates.js';
import {defineRouter} from '../define.js';
import {topKMask} from '../keep-top-k.js';
import {balanceLoss, zLoss} from '../losses.js';
import {uniformNoise} from '../noise.js';
import type {Router, RouterView, Routing} from '../router.js';
import type {AddWeight, Weight} from '../weights.js';

/** Config of {@link NoisyTopKRouter}. */
export interface NoisyTopKRouterConfig {
  type: 'noisy-top-k';
  /** Number of experts, at least 1. */
  experts: number;
  /** Number of experts kept per token. Default 2, or 1 if there is one expert. */
  topK?: number;
  /** Scale of the noise on the logits in training. Default 1. */
  noise?: number;
  /**
   * Scale the kept gates to sum to 1. Default true, but false with `topK: 1`, as in the Switch Transformer:
   * the single gate would always be 1, and only the balance and z-losses could train the router. Setting it
   * with `topK: 1` prints a warning.
   */
  renormalize?: boolean;
  /** Weight of the load balance loss in training. Default 0.01. */
  balance?: number;
  /** Weight of the router z-loss in training. Default 0.001. */
  zLoss?: number;
}

const OPTIONS = ['topK', 'noise', 'renormalize', 'balance', 'zLoss'] as const;

/**
 * Noisy top-k gating (Shazeer et al., arXiv 1701.06538, equations 3 to 5) with the load balance loss of the
 * Switch Transformer (arXiv 2101.03961, equation 4) and the router z-loss (arXiv 2202.08906, equation 5). The
 * logits are x W; in training, x W + noise · softplus(x V) ∘ ε with ε normal. The k most probable experts
 * keep p = softmax(logits), renormalised, which equals the softmax over the kept logits. Padded tokens do not
 * count in the losses.
 *
 * Weights: `router` W [d, experts] from N(0, 0.02²) and `router_noise` V [d, experts] zeros.
 *
 * @example
 * ```ts
 * import {NoisyTopKRouter} from '@tfjs-peft/routers';
 *
 * const router = new NoisyTopKRouter({type: 'noisy-top-k', experts: 8, balance: 0.02});
 * ```
 */
export class NoisyTopKRouter implements Router {
  readonly experts: number;
  readonly normalized: boolean;
  readonly hasLoss: boolean;
  private readonly config: Required<NoisyTopKRouterConfig>;
  private kernel!: Weight;
  private noise!: Weight;

  /** @throws ConfigError if an option is unknown or out of range. */
  constructor(config: NoisyTopKRouterConfig) {
    const what = 'noisy-top-k router';
    checkOptions(what, config, ['type', 'experts', ...OPTIONS]);
    const experts = checkCount(what, 'experts', config.experts);
    const positive = {min: 0};
    const topK = checkCount(what, 'topK', config.topK, {max: experts, fallback: Math.min(2, experts)});
    this.experts = experts;
    this.config = {
      type: 'noisy-top-k',
      experts,
      topK,
      noise: checkNumber(what, 'noise', config.noise, {...positive, fallback: 1}),
      renormalize: checkBoolean(what, 'renormalize', config.renormalize, topK > 1 || experts === 1),
      balance: checkNumber(what, 'balance', config.balance, {...positive, fallback: 0.01}),
      zLoss: checkNumber(what, 'zLoss', config.zLoss, {...positive, fallback: 0.001}),
    };
    warnOfConstantGates(what, experts, topK, this.config.renormalize);
    this.normalized = this.config.renormalize || topK === experts;
    this.hasLoss = this.config.balance > 0 || this.config.zLoss > 0;
  }

  build(inputDim: number, add: AddWeight): void {
    this.kernel = add('router', [inputDim, this.experts], {type: 'normal', stddev: 0.02});
    this.noise = add('router_noise', [inputDim, this.experts], {type: 'zeros'});
  }

  route({input, training, withLoss = training, context}: RouterView): Routing {
    const {topK, renormalize, noise, balance, zLoss: z} = this.config;
    return tf.tidy(() => {
      const rows = tf.reshape(input, [-1, input.shape[input.rank - 1]!]) as tf.Tensor2D;
      const shape = [...input.shape.slice(0, -1), this.experts];
      const clean = matMul(rows, this.kernel.read());
      let logits = clean;
      if (training && noise > 0) {
        const uniform = (size: number[]) => uniformNoise('noisy-top-k router', context, size);
        const spread = tf.mul(tf.softplus(matMul(rows, this.noise.read())), noise);
        logits = tf.add(clean, tf.mul(spread, normalOf(uniform, clean.shape)));
      }
      const probabilities = tf.reshape(tf.softmax(logits), shape);
      const all = topK === this.experts;
      const gates = all ? probabilities : topKGates(probabilities, topK, renormalize);
      const routing: Routing = all ? {gates, probabilities} : {gates, probabilities, topK};
      if (!training || !withLoss || !this.hasLoss) return {...routing};
      const terms: tf.Tensor[] = [];
      const mask = context?.mask;
      if (balance > 0) {
        const selected = tf.customGrad((p) => ({
          value: topKMask(p as tf.Tensor, topK),
          gradFunc: () => tf.zerosLike(p as tf.Tensor),
        }))(probabilities);
        terms.push(tf.mul(balanceLoss(probabilities, selected, mask), balance));
      }
      if (z > 0) terms.push(tf.mul(zLoss(tf.reshape(logits, shape), mask), z));
      return {...routing, loss: terms.length === 1 ? terms[0]! : tf.addN(terms)};
    });
  }

  getConfig(): NoisyTopKRouterConfig {
    return {...this.config};
  }
}

/** Normal numbers from uniform ones in [0, 1), by Box and Muller. */
function normalOf(uniform: (shape: number[]) => tf.Tensor, shape: number[]): tf.Tensor {
  const radius = tf.sqrt(tf.mul(tf.log(tf.sub(1, uniform(shape))), -2));
  return tf.mul(radius, tf.cos(tf.mul(uniform(shape), 2 * Math.PI)));
}

defineRouter({
  type: 'noisy-top-k',
  summary: 'the softmax over the k largest logits, noisy in training, with the Switch losses',
  options: OPTIONS,
  examples: [{type: 'noisy-top-k'}, {type: 'noisy-top-k', topK: 1, balance: 0.5, zLoss: 0}],
  create: (config) => new NoisyTopKRouter(config),
});

declare module '../router.js' {
  interface RouterConfigs {
    'noisy-top-k': NoisyTopKRouterConfig;
  }
}
