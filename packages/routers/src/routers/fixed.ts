import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, checkCount, checkNumber, checkOptions, describe} from '@tfjs-peft/kernels';
import {defineRouter} from '../define.js';
import {atEveryPosition} from '../per-sample.js';
import type {Router, RouterView, Routing} from '../router.js';

/** Config of {@link FixedRouter}. */
export interface FixedRouterConfig {
  type: 'fixed';
  /** Number of experts, at least 1. */
  experts: number;
  /** The gate of each expert. Default: 1 / experts each. */
  gates?: number[];
}

const OPTIONS = ['gates'] as const;

/**
 * Routes every token with the same gates: an average of the experts, or one of them. No weights.
 *
 * @example
 * ```ts
 * import {FixedRouter} from '@tfjs-peft/routers';
 *
 * const router = new FixedRouter({type: 'fixed', experts: 2, gates: [0.75, 0.25]});
 * ```
 */
export class FixedRouter implements Router {
  readonly experts: number;
  readonly normalized: boolean;
  private readonly gates: number[];

  /** @throws ConfigError if an option is unknown, or `gates` is not one finite number per expert. */
  constructor(config: FixedRouterConfig) {
    const what = 'fixed router';
    checkOptions(what, config, ['type', 'experts', ...OPTIONS]);
    const experts = checkCount(what, 'experts', config.experts);
    const gates =
      config.gates === undefined ? Array.from({length: experts}, () => 1 / experts) : config.gates;
    if (!Array.isArray(gates) || gates.length !== experts || !gates.every(Number.isFinite)) {
      throw new ConfigError(
        `${what}: gates is ${describe(gates)}. Set it to ${experts} finite numbers, one for each expert.`,
      );
    }
    this.experts = experts;
    this.gates = gates.map((gate: number, i) => checkNumber(what, `gates[${i}]`, gate, {}));
    this.normalized = Math.abs(gates.reduce((sum, gate) => sum + gate, 0) - 1) < 1e-6;
  }

  build(): void {}

  route({input}: RouterView): Routing {
    return tf.tidy(() => {
      const gates = atEveryPosition(tf.tensor2d(this.gates, [1, this.experts]), input);
      return {gates, probabilities: gates};
    });
  }

  getConfig(): FixedRouterConfig {
    return {type: 'fixed', experts: this.experts, gates: [...this.gates]};
  }
}

defineRouter({
  type: 'fixed',
  summary: 'the same always; by default 1 / experts each',
  options: OPTIONS,
  examples: [{type: 'fixed'}],
  create: (config) => new FixedRouter(config),
});

declare module '../router.js' {
  interface RouterConfigs {
    fixed: FixedRouterConfig;
  }
}
