import {define, Registry} from '@tfjs-peft/kernels';
import {createFrom} from './create.js';
import type {Quantizer, QuantizerConfigs, QuantizerSpec} from './quantizer.js';

/**
 * The config of a quantiser type: as {@link QuantizerConfigs} declares it, or any options where it does
 * not.
 */
export type QuantizerConfigOf<Type extends string> = string extends Type
  ? {type: string}
  : Type extends keyof QuantizerConfigs
    ? QuantizerConfigs[Type]
    : {type: Type} & Record<string, unknown>;

/**
 * Defines a quantiser. Only `type` and `create` are required; lists, tables and tests are generated from the
 * rest.
 */
export interface QuantizerDefinition<Type extends string = string> {
  /** The name that configs use. */
  readonly type: Type;
  /**
   * Checks a config, fills in its defaults and makes the quantiser. Throws a ConfigError if it is
   * invalid.
   */
  create(config: QuantizerConfigOf<Type>): Quantizer;
  /** Names of its options, without `type`. */
  readonly options?: readonly string[];
  /** One line about what it does, for a table. */
  readonly summary?: string;
  /** Configs that cover all of its code, the shortest first. */
  readonly examples?: readonly QuantizerConfigOf<Type>[];
}

/** The quantisers of this copy of the package. `quantizers/list.ts` closes it. */
export const quantizers = new Registry<QuantizerDefinition>('quantizer');

/**
 * Registers a quantiser for use in configs. A second definition of your own type replaces the first.
 *
 * @throws DuplicateNameError if a built-in quantiser has that type; ConfigError if `type` or `create` is
 * missing.
 * @example
 * ```ts
 * import {defineQuantizer, quantize, quantizeNearest} from '@tfjs-peft/quant';
 *
 * // Small weights become 0 first.
 * defineQuantizer({
 *   type: 'pruned',
 *   create: () => ({
 *     quantize({weights, shape, format}) {
 *       const kept = Array.from(weights, (w) => (Math.abs(w) < 0.01 ? 0 : w));
 *       return quantizeNearest(kept, shape, format);
 *     },
 *     getConfig: () => ({type: 'pruned'}) as never,
 *   }),
 * });
 * const packed = quantize([0.001, 1], [2, 1], 'int4', {quantizer: {type: 'pruned'} as never});
 * ```
 */
export function defineQuantizer<const Type extends string>(definition: QuantizerDefinition<Type>): void {
  define(quantizers, definition);
}

/**
 * All definitions of quantisers, the built-in ones first.
 *
 * @example
 * ```ts
 * import {quantizerDefinitions} from '@tfjs-peft/quant';
 *
 * const types = quantizerDefinitions().map(({type}) => type); // ['nearest', 'gnp-iq', …]
 * ```
 */
export function quantizerDefinitions(): QuantizerDefinition[] {
  return quantizers.values();
}

/**
 * Makes a quantiser from its config, or from its type with all defaults.
 *
 * @throws ConfigError if the type is unknown, or an option is unknown or out of range. It lists the known
 * ones.
 * @example
 * ```ts
 * import {createQuantizer} from '@tfjs-peft/quant';
 *
 * const quantizer = createQuantizer({type: 'gptq', order: 'activation'});
 * console.log(quantizer.calibrated); // true
 * ```
 */
export function createQuantizer(quantizer: QuantizerSpec): Quantizer {
  const examples = "'nearest', or to a config such as {type: 'gptq', damping: 0.01}";
  return createFrom(quantizers, 'quantizer', quantizer, examples);
}
