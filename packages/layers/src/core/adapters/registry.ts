import {ConfigError, describe} from '@tfjs-peft/kernels';
import {define, plainCopy, Registry} from '@tfjs-peft/routers';
import type {Adapter, AdapterConfig, AdapterConfigs, SiteDims} from './adapter.js';

/** The config of an adapter type: as {@link AdapterConfigs} declares it, or any options where it does not. */
export type AdapterConfigOf<Type extends string> = string extends Type
  ? {type: string}
  : Type extends keyof AdapterConfigs
    ? AdapterConfigs[Type]
    : {type: Type} & Record<string, unknown>;

/** All that there is to say about an adapter. `type` and `create` are enough; the rest is what lists, tables and tests are made of. */
export interface AdapterDefinition<Type extends string = string> {
  /** What configs name it by. */
  readonly type: Type;
  /**
   * Checks a config, fills in its defaults, and makes the adapter; throws a ConfigError if the config is not good. `dims` are there
   * where the site is known already, for options whose range depends on them.
   */
  create(config: AdapterConfigOf<Type>, dims?: SiteDims): Adapter;
  /** The names of its options besides `type`. All have defaults. */
  readonly options?: readonly string[];
  /** The formula of its output, in a line of a table. */
  readonly summary?: string;
  /** A learning rate of Adam to begin with. */
  readonly learningRate?: number;
  /** Small configs that reach all of its code and need no context. */
  readonly examples?: readonly AdapterConfigOf<Type>[];
}

/** Of this copy of the package. The list of our own closes it. */
export const adapters = new Registry<AdapterDefinition>('adapter');

/**
 * Makes an adapter type known to configs. A second definition of one type replaces the first.
 *
 * @throws DuplicateNameError if a built-in adapter has that type; ConfigError if there is no type or no `create`.
 * @example
 * ```ts
 * defineAdapter({type: 'shift', create: (config) => new ShiftAdapter(config)});
 * ```
 */
export function defineAdapter<const Type extends string>(definition: AdapterDefinition<Type>): void {
  define(adapters, definition);
}

/** All definitions: the built-in ones first. */
export function adapterDefinitions(): AdapterDefinition[] {
  return adapters.values();
}

/**
 * Makes an adapter, without weights yet, from its config.
 *
 * @throws ConfigError if the type is unknown, or an option unknown or out of range; it says which ones there are.
 */
export function createAdapter(config: AdapterConfig, dims?: SiteDims): Adapter {
  if (typeof config !== 'object' || config === null) {
    throw new ConfigError(
      `The adapter config is ${describe(config)}, but must be an object such as {type: 'lora', rank: 8}.`,
    );
  }
  const plain = plainCopy('adapter', config);
  return adapters.get(plain.type).create(plain, dims);
}
