import {ConfigError, describe, plainCopy} from '@tfjs-peft/kernels';
import {define, Registry} from './registry.js';
import type {Router, RouterConfig, RouterConfigs, RouterContext} from './router.js';

/** The config of a router type: as {@link RouterConfigs} declares it, or any options where it does not. */
export type RouterConfigOf<Type extends string> = string extends Type
  ? {type: string; experts: number}
  : Type extends keyof RouterConfigs
    ? RouterConfigs[Type]
    : {type: Type; experts: number} & Record<string, unknown>;

type WithoutExperts<Config> = Config extends unknown ? Omit<Config, 'experts'> & {experts?: number} : never;

/** All that there is to say about a router. `type` and `create` are enough; the rest is what lists, tables and tests are made of. */
export interface RouterDefinition<Type extends string = string> {
  /** What configs name it by. */
  readonly type: Type;
  /** Checks a config, fills in its defaults, and makes the router; throws a ConfigError if the config is not good. */
  create(config: RouterConfigOf<Type>): Router;
  /** The names of its options besides `type` and `experts`. */
  readonly options?: readonly string[];
  /** Its gates, in a line of a table. */
  readonly summary?: string;
  /** What it reads of a batch's context. */
  readonly context?: readonly Exclude<keyof RouterContext, 'noise'>[];
  /** Configs that reach all of its code; the first is the shortest. A test gives them experts, and tensors of the context. */
  readonly examples?: readonly WithoutExperts<RouterConfigOf<Type>>[];
}

/** Of this copy of the package. The list of our own closes it. */
export const routers = new Registry<RouterDefinition>('router');

/**
 * Makes a router type known to configs. A second definition of one type replaces the first.
 *
 * @throws DuplicateNameError if a built-in router has that type; ConfigError if there is no type or no `create`.
 * @example
 * ```ts
 * defineRouter({type: 'sigmoid', create: (config) => new SigmoidRouter(config)});
 * ```
 */
export function defineRouter<const Type extends string>(definition: RouterDefinition<Type>): void {
  define(routers, definition);
}

/** All definitions: the built-in ones first. */
export function routerDefinitions(): RouterDefinition[] {
  return routers.values();
}

/**
 * Makes a router from its config.
 *
 * @throws ConfigError if the type is unknown, or an option unknown or out of range; it says which ones there are.
 */
export function createRouter(config: RouterConfig): Router {
  if (typeof config !== 'object' || config === null) {
    throw new ConfigError(
      `The router config is ${describe(config)}, but must be an object such as {type: 'softmax', experts: 4}.`,
    );
  }
  const plain = plainCopy('router', config);
  return routers.get(plain.type).create(plain);
}
