import {ConfigError, describe} from '@tfjs-peft/kernels';
import {checkNumber, define, plainCopy, Registry} from '@tfjs-peft/routers';
import type {Adapter, AdapterConfig, AdapterConfigs, SiteDims} from './adapter.js';

/** The config of an adapter type: as {@link AdapterConfigs} declares it, or any options where it does not. */
export type AdapterConfigOf<Type extends string> = string extends Type
  ? {type: string}
  : Type extends keyof AdapterConfigs
    ? AdapterConfigs[Type]
    : {type: Type} & Record<string, unknown>;

/**
 * Defines an adapter type. Only `type` and `create` are required; lists, tables and tests are generated from
 * the rest.
 */
export interface AdapterDefinition<Type extends string = string> {
  /** The name that configs use. */
  readonly type: Type;
  /**
   * Checks a config, fills in its defaults and makes the adapter. Throws a ConfigError if the config is
   * invalid. `dims` is set if the site is known, for options whose range depends on it.
   */
  create(config: AdapterConfigOf<Type>, dims?: SiteDims): Adapter;
  /** Names of its options, without `type`. All have defaults. */
  readonly options?: readonly string[];
  /** One line about its output, for a table. */
  readonly summary?: string;
  /** A learning rate of Adam to start with. */
  readonly learningRate?: number;
  /** Small configs that cover all of its code and need no context. */
  readonly examples?: readonly AdapterConfigOf<Type>[];
}

/** The adapters of this copy of the package. `list.ts` closes it. */
export const adapters = new Registry<AdapterDefinition>('adapter');

/**
 * Registers an adapter type for use in configs. A second definition of your own type replaces the first.
 *
 * @throws DuplicateNameError if a built-in adapter has that type; ConfigError if `type` or `create` is
 * missing.
 * @example
 * ```ts
 * import type {Tensor1D} from '@tensorflow/tfjs-core';
 * import {type Adapter, defineAdapter} from '@tfjs-peft/layers';
 *
 * // Scales the output by one learned vector.
 * const scale = (): Adapter => {
 *   let vector: ReturnType<Parameters<Adapter['build']>[1]>;
 *   return {
 *     type: 'scale',
 *     build({outputDim}, add) {
 *       vector = add('vector', [outputDim], {type: 'ones'});
 *     },
 *     parts: () => ({post: vector.read() as Tensor1D}),
 *     getConfig: () => ({type: 'scale'}) as never,
 *   };
 * };
 * defineAdapter({type: 'scale', create: scale});
 * ```
 */
export function defineAdapter<const Type extends string>(definition: AdapterDefinition<Type>): void {
  define(adapters, definition);
}

/**
 * All adapter definitions, the built-in ones first.
 *
 * @example
 * ```ts
 * import {adapterDefinitions} from '@tfjs-peft/layers';
 *
 * const types = adapterDefinitions().map(({type}) => type); // ['lora', 'dora', …]
 * ```
 */
export function adapterDefinitions(): AdapterDefinition[] {
  return adapters.values();
}

/**
 * Makes an adapter from its config, without weights.
 *
 * @param dims Widths of the site, if known.
 * @throws ConfigError if the type is unknown, or an option is unknown or out of range. It lists the known
 * ones.
 * @example
 * ```ts
 * import {createAdapter} from '@tfjs-peft/layers';
 *
 * const config = createAdapter({type: 'molora', experts: 4}).getConfig(); // with all defaults
 * ```
 */
export function createAdapter(config: AdapterConfig, dims?: SiteDims): Adapter {
  if (typeof config !== 'object' || config === null) {
    throw new ConfigError(
      `The adapter config is ${describe(config)}, but must be an object such as {type: 'lora', rank: 8}.`,
    );
  }
  const plain = plainCopy('adapter', config);
  const definition = adapters.get(plain.type);
  // An adapter of yours may have an option of that name already.
  if (definition.options?.includes('dropout')) return definition.create(plain, dims);
  const {dropout, ...own} = plain;
  const adapter = definition.create(own as AdapterConfig, dims);
  return dropout === undefined ? adapter : withDropout(adapter, dropout);
}

/** Names of {@link CommonOptions}. */
export const COMMON_OPTIONS = ['dropout'] as const;

function withDropout(adapter: Adapter, given: number): Adapter {
  const what = `${adapter.type} adapter`;
  const dropout = checkNumber(what, 'dropout', given, {min: 0, max: 1});
  if (dropout === 0) return adapter;
  if (dropout === 1) {
    throw new ConfigError(`${what}: dropout is 1, so it would get no input. Set dropout below 1.`);
  }
  if (adapter.dropsAt === 'nothing') {
    throw new ConfigError(`${what}: dropout is ${dropout}, but it reads no input here. Leave out dropout.`);
  }
  const getConfig = adapter.getConfig.bind(adapter);
  return Object.assign(adapter, {dropout, getConfig: () => ({...getConfig(), dropout})});
}
