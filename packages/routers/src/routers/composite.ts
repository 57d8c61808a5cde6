import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, checkCount, checkNumber, checkOptions, describe} from '@tfjs-peft/kernels';
import {createRouter, defineRouter} from '../define.js';
import type {Router, RouterConfig, RouterNeeds, RouterView, Routing} from '../router.js';
import type {AddWeight} from '../weights.js';

/** A router inside a composite, which says how many experts there are. */
export type PartRouterConfig = {type: string; experts?: number} & Record<string, unknown>;

/** Config of {@link CompositeRouter}. */
export interface CompositeRouterConfig {
  type: 'composite';
  /** Number of experts, at least 1, of every part. */
  experts: number;
  /** The routers whose gates are mixed. */
  routers: PartRouterConfig[];
  /** How much each counts; above 0, and scaled so that they sum to 1. Default: all alike. */
  weights?: number[];
}

const OPTIONS = ['routers', 'weights'] as const;

const MOST_ROUTERS = 64;
const DEEPEST = 8;

/**
 * A weighted mean of other routers' gates and probabilities, such as a token's own and its sample's. Their losses add up. The weights
 * of part i are called `<i>_<name>`.
 */
export class CompositeRouter implements Router {
  readonly experts: number;
  readonly needs: RouterNeeds;
  readonly normalized: boolean;
  readonly hasLoss: boolean;
  private readonly parts: Router[];
  private readonly weights: number[];

  /** @throws ConfigError if there is no part, a part's config is not good, or the weights are not one positive number a part. */
  constructor(config: CompositeRouterConfig) {
    const what = 'composite router';
    checkOptions(what, config, ['type', 'experts', ...OPTIONS]);
    const experts = checkCount(what, 'experts', config.experts);
    const {routers, weights} = config;
    checkNesting(what, config);
    if (!Array.isArray(routers) || routers.length === 0) {
      throw new ConfigError(
        `${what}: routers must be a list of router configs, such as [{type: 'softmax'}].`,
      );
    }
    if (weights !== undefined && (!Array.isArray(weights) || weights.length !== routers.length)) {
      throw new ConfigError(`${what}: weights must be ${routers.length} numbers, one for each router.`);
    }
    for (const part of routers) {
      if (part?.experts !== undefined && part.experts !== experts) {
        throw new ConfigError(
          `${what}: a part has ${describe(part.experts)} experts, but the composite ${experts}. Leave the part's experts out.`,
        );
      }
    }
    const given = (weights ?? routers.map(() => 1)).map((weight, i) =>
      checkNumber(what, `weights[${i}]`, weight, {min: Number.MIN_VALUE}),
    );
    const total = given.reduce((sum, weight) => sum + weight, 0);
    this.experts = experts;
    this.weights = given.map((weight) => weight / total);
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

/** Counted before any part is made, since each nested one is another call. */
function checkNesting(what: string, config: CompositeRouterConfig): void {
  let level: unknown[] = [config];
  let routers = 0;
  for (let depth = 0; level.length > 0; depth++) {
    routers += level.length;
    if (depth > DEEPEST || routers > MOST_ROUTERS) {
      throw new ConfigError(
        `${what}: it has more than ${MOST_ROUTERS} routers or is nested more than ${DEEPEST} deep. Mix fewer, or write their gates as one router.`,
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
