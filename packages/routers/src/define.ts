import {ConfigError, define, describe, plainCopy, Registry} from '@tfjs-peft/kernels';
import type {Router, RouterConfig, RouterConfigs, RouterContext} from './router.js';

/** The config of a router type: as {@link RouterConfigs} declares it, or any options where it does not. */
export type RouterConfigOf<Type extends string> = string extends Type
  ? {type: string; experts: number}
  : Type extends keyof RouterConfigs
    ? RouterConfigs[Type]
    : {type: Type; experts: number} & Record<string, unknown>;

/** A config of which the number of experts may be left out, as inside of an adapter's. */
export type WithoutExperts<Config> = Config extends unknown
  ? Omit<Config, 'experts'> & {experts?: number}
  : never;

/**
 * Defines a router type. Only `type` and `create` are required; lists, tables and tests are generated from
 * the rest.
 */
export interface RouterDefinition<Type extends string = string> {
  /** The name that configs use. */
  readonly type: Type;
  /**
   * Checks a config, fills in its defaults and makes the router. Throws a ConfigError if the config is
   * invalid.
   */
  create(config: RouterConfigOf<Type>): Router;
  /** Names of its options, without `type` and `experts`. */
  readonly options?: readonly string[];
  /** One line about its gates, for a table. */
  readonly summary?: string;
  /** Keys of the context that it reads. */
  readonly context?: readonly Exclude<keyof RouterContext, 'noise'>[];
  /**
   * Configs that cover all of its code, the shortest first. A test adds experts and the tensors of the
   * context.
   */
  readonly examples?: readonly WithoutExperts<RouterConfigOf<Type>>[];
}

/** The routers of this copy of the package. `routers/list.ts` closes it. */
export const routers = new Registry<RouterDefinition>('router');

/**
 * Registers a router type for use in configs. A second definition of your own type replaces the first.
 *
 * @throws DuplicateNameError if a built-in router has that type; ConfigError if `type` or `create` is
 * missing.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {defineRouter, type Router} from '@tfjs-peft/routers';
 *
 * // The first expert, always.
 * const first = (experts: number): Router => ({
 *   experts,
 *   build() {},
 *   route({input}) {
 *     const one = tf.oneHot(tf.zeros(input.shape.slice(0, -1), 'int32'), experts);
 *     const gates = tf.cast(one, 'float32');
 *     return {gates, probabilities: gates};
 *   },
 *   getConfig: () => ({type: 'first', experts}) as never,
 * });
 * defineRouter({type: 'first', create: ({experts}) => first(experts)});
 * ```
 */
export function defineRouter<const Type extends string>(definition: RouterDefinition<Type>): void {
  define(routers, definition);
}

/**
 * All router definitions, the built-in ones first.
 *
 * @example
 * ```ts
 * import {routerDefinitions} from '@tfjs-peft/routers';
 *
 * const types = routerDefinitions().map(({type}) => type); // ['softmax', 'top-k', …]
 * ```
 */
export function routerDefinitions(): RouterDefinition[] {
  return routers.values();
}

/**
 * Makes a router from its config.
 *
 * @throws ConfigError if the type is unknown, or an option is unknown or out of range. It lists the known
 * ones.
 * @example
 * ```ts
 * import {createRouter} from '@tfjs-peft/routers';
 *
 * const router = createRouter({type: 'softmax', experts: 4, topK: 2});
 * ```
 */
export function createRouter(config: RouterConfig): Router {
  if (typeof config !== 'object' || config === null) {
    throw new ConfigError(
      `The router config is ${describe(config)}, but must be an object such as {type: 'softmax', experts: ` +
        '4}.',
    );
  }
  const plain = plainCopy('router', config);
  return routers.get(plain.type).create(plain);
}
