import * as tf from '@tensorflow/tfjs-core';
import {checkCount, checkOptions} from '@tfjs-peft/kernels';
import {defineRouter} from '../define.js';
import type {Router, RouterView, Routing} from '../router.js';

/** Config of {@link HashRouter}. */
export interface HashRouterConfig {
  type: 'hash';
  /** Number of experts, at least 1. */
  experts: number;
}

/**
 * Routes each token to the expert of its position modulo the number of experts: a hash layer (Roller et al.,
 * arXiv 2106.04426) that hashes the position, because a site knows nothing else of a token but its vector. It
 * has no weights, balances the experts and learns nothing: a baseline for learned routers.
 *
 * A token's position is the number of real tokens before it: with a mask, padding does not count. An input
 * without an axis of tokens has only position 0. The pixels of an image count row by row.
 *
 * @example
 * ```ts
 * import {HashRouter} from '@tfjs-peft/routers';
 *
 * const router = new HashRouter({type: 'hash', experts: 4});
 * ```
 */
export class HashRouter implements Router {
  readonly experts: number;
  readonly normalized = true;

  /** @throws ConfigError if an option is unknown or out of range. */
  constructor(config: HashRouterConfig) {
    const what = 'hash router';
    checkOptions(what, config, ['type', 'experts']);
    this.experts = checkCount(what, 'experts', config.experts);
  }

  build(): void {}

  route({input, context}: RouterView): Routing {
    return tf.tidy(() => {
      const [batch = 1, ...between] = input.shape.slice(0, -1);
      const tokens = between.reduce((product, size) => product * size, 1);
      const real =
        context?.mask === undefined ? tf.ones([1, tokens]) : tf.reshape(context.mask, [-1, tokens]);
      const before = tf.cumsum(tf.cast(real, 'float32'), 1, true);
      const turn = tf.mod(before, tf.scalar(this.experts));
      const chosen = tf.equal(tf.expandDims(turn, -1), tf.range(0, this.experts));
      const gates = tf.mul(tf.cast(chosen, 'float32'), tf.ones([batch, 1, 1]));
      const shaped = tf.reshape(gates, [batch, ...between, this.experts]);
      return {gates: shaped, probabilities: shaped, topK: 1};
    });
  }

  getConfig(): HashRouterConfig {
    return {type: 'hash', experts: this.experts};
  }
}

defineRouter({
  type: 'hash',
  summary: 'one expert a token: its position modulo the number of experts',
  options: [],
  examples: [{type: 'hash'}],
  create: (config) => new HashRouter(config),
});

declare module '../router.js' {
  interface RouterConfigs {
    hash: HashRouterConfig;
  }
}
