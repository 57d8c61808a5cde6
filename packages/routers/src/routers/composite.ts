import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, checkCount, checkOptions, checkPositive, describe} from '@tfjs-peft/kernels';
import {createRouter, defineRouter} from '../define.js';
import type {Router, RouterConfig, RouterNeeds, RouterView, Routing} from '../router.js';
import type {AddWeight} from '../weights.js';

/** Config of a router inside a composite. Leave out `experts`: the composite sets it. */
export type PartRouterConfig = {type: string; experts?: number} & Record<string, unknown>;

/** Config of {@link CompositeRouter}. */
export interface CompositeRouterConfig {
  type: 'composite';
  /** Number of experts of every part, at least 1. */
  experts: number;
  /** Configs of the routers to mix. */
  routers: PartRouterConfig[];
  /** Weight of each router, above 0; they are scaled to sum to 1. Default: equal weights. */
  weights?: number[];
}

const OPTIONS = ['routers', 'weights'] as const;

const MOST_ROUTERS = 64;
const DEEPEST = 8;

/**
 * A weighted mean of the gates and probabilities of other routers, such as one for tokens and one for
 * samples. Their losses are added. The weights of part i are named `<i>_<name>`.
 *
 * @example
 * ```ts
 * import {CompositeRouter} from '@tfjs-peft/routers';
 *
 * const router = new CompositeRouter({
 *   type: 'composite',
 *   experts: 4,
 *   routers: [{type: 'softmax'}, {type: 'sentence', width: 384}],
 *   weights: [2, 1],
 * });
 * ```
 */
export class CompositeRouter implements Router {
  readonly experts: number;
  readonly needs: RouterNeeds;
  readonly normalized: boolean;
  readonly hasLoss: boolean;
  private readonly parts: Router[];
  private readonly weights: number[];

  /**
   * @throws ConfigError if there is no part, a part's config is invalid, or `weights` is not one positive
   * number per part.
   */
  constructor(config: CompositeRouterConfig) {
    const what = 'composite router';
    checkOptions(what, config, ['type', 'experts', ...OPTIONS]);
    const experts = checkCount(what, 'experts', config.experts);
    const {routers, weights} = config;
    checkNesting(what, config);
    if (!Array.isArray(routers) || routers.length === 0) {
      throw new ConfigError(
        `${what}: routers must be a list of router configs. Set it to a list such as [{type: 'softmax'}].`,
      );
    }
    if (weights !== undefined && (!Array.isArray(weights) || weights.length !== routers.length)) {
      throw new ConfigError(
        `${what}: weights is ${describe(weights)}. Set it to ${routers.length} numbers, one for each router.`,
      );
    }
    for (const part of routers) {
      if (part?.experts !== undefined && part.experts !== experts) {
        throw new ConfigError(
          `${what}: a part has ${describe(part.experts)} experts, but the composite has ${experts}. ` +
            "Leave out the part's experts.",
        );
      }
    }
    const given = (weights ?? routers.map(() => 1)).map((weight, i) =>
      checkPositive(what, `weights[${i}]`, weight),
    );
    const total = given.reduce((sum, weight) => sum + weight, 0);
    this.experts = experts;
    this.weights = given.map((weight) => weight / total);
    // TypeScript no longer sees a union once the same field is spread over each config.
    this.parts = routers.map((part) => createRouter({...part, experts} as unknown as RouterConfig));
    const most = (key: keyof RouterNeeds) => Math.max(0, ...this.parts.map(({needs}) => needs?.[key] ?? 0));
    this.needs = {base: most('base'), delta: most('delta')};
    this.normalized = this.parts.every(({normalized}) => normalized === true);
    this.hasLoss = this.parts.some(({hasLoss}) => hasLoss === true);
  }

  get tasks(): number | undefined {
    const known = this.parts.flatMap(({tasks}) => (tasks === undefined ? [] : [tasks]));
    return known.length === 0 ? undefined : Math.min(...known);
  }

  build(inputDim: number, add: AddWeight): void {
    this.parts.forEach((part, i) => {
      part.build(inputDim, (name, ...rest) => add(`${i}_${name}`, ...rest));
    });
  }

  route(view: RouterView): Routing {
    return tf.tidy(() => {
      const routings = this.parts.map((part) => part.route(view));
      const mean = (key: 'gates' | 'probabilities') =>
        tf.addN(routings.map((routing, i) => tf.mul(routing[key], this.weights[i]!)));
      const losses = routings.flatMap(({loss}) => (loss === undefined ? [] : [tf.reshape(loss, [])]));
      return {
        gates: mean('gates'),
        probabilities: mean('probabilities'),
        ...(losses.length > 0 && {loss: tf.addN(losses)}),
      };
    });
  }

  getConfig(): CompositeRouterConfig {
    const routers = this.parts.map((part) => {
      const {experts: _, ...config} = part.getConfig();
      return config as PartRouterConfig;
    });
    return {type: 'composite', experts: this.experts, routers, weights: [...this.weights]};
  }
}

/** Counts the parts before any is made, because each nested one makes a recursive call. */
function checkNesting(what: string, config: CompositeRouterConfig): void {
  let level: unknown[] = [config];
  let routers = 0;
  for (let depth = 0; level.length > 0; depth++) {
    routers += level.length;
    if (depth > DEEPEST || routers > MOST_ROUTERS) {
      throw new ConfigError(
        `${what}: it has more than ${MOST_ROUTERS} routers or is nested more than ${DEEPEST} deep. ` +
          'Mix fewer routers, or write your own.',
      );
    }
    level = level.flatMap((router) => {
      const parts = (router as Partial<CompositeRouterConfig> | null)?.routers;
      return Array.isArray(parts) ? parts.slice(0, MOST_ROUTERS + 1) : [];
    });
  }
}

defineRouter({
  type: 'composite',
  summary: 'the weighted mean of the others; at most 64 routers, nested at most 8 deep',
  options: OPTIONS,
  examples: [{type: 'composite', routers: [{type: 'softmax'}, {type: 'noisy-top-k'}]}],
  create: (config) => new CompositeRouter(config),
});

declare module '../router.js' {
  interface RouterConfigs {
    composite: CompositeRouterConfig;
  }
}
