import {define, Registry} from '@tfjs-peft/kernels';
import {createFrom} from './create.js';
import type {FormatConfigs, FormatSpec, WeightFormat} from './format.js';

/** The config of a format type: as {@link FormatConfigs} declares it, or any options where it does not. */
export type FormatConfigOf<Type extends string> = string extends Type
  ? {type: string}
  : Type extends keyof FormatConfigs
    ? FormatConfigs[Type]
    : {type: Type} & Record<string, unknown>;

/**
 * Defines a weight format. Only `type` and `create` are required; lists, tables and tests are generated from
 * the rest.
 */
export interface FormatDefinition<Type extends string = string> {
  /** The name that configs use. */
  readonly type: Type;
  /** Checks a config, fills in its defaults and makes the format. Throws a ConfigError if it is invalid. */
  create(config: FormatConfigOf<Type>): WeightFormat;
  /** Names of its options, without `type`. */
  readonly options?: readonly string[];
  /** One line about its numbers, for a table. */
  readonly summary?: string;
  /** Configs that cover all of its code, the shortest first. */
  readonly examples?: readonly FormatConfigOf<Type>[];
}

/** The weight formats of this copy of the package. `formats/list.ts` closes it. */
export const formats = new Registry<FormatDefinition>('weight format');

/**
 * Registers a weight format for use in configs. A second definition of your own type replaces the first.
 *
 * @throws DuplicateNameError if a built-in format has that type; ConfigError if `type` or `create` is
 * missing.
 * @example
 * ```ts
 * import {defineFormat, dequantize, quantize, type WeightFormat} from '@tfjs-peft/quant';
 *
 * // The sign of each weight, times the largest of its channel.
 * const signs = (): WeightFormat => ({
 *   bits: 2,
 *   values: 'codebook',
 *   codebook: Float32Array.of(-1, 0, 1, 0),
 *   zero: 'none',
 *   group: 'channel',
 *   scales: 'f32',
 *   fit: (low, high) => ({scale: Math.fround(Math.max(-low, high)), zero: 0}),
 *   encode(weights, _grid, codes) {
 *     for (let i = 0; i < weights.length; i++) codes[i] = Math.sign(weights[i]!) + 1;
 *   },
 *   getConfig: () => ({type: 'signs'}) as never,
 * });
 * defineFormat({type: 'signs', create: signs});
 * console.log(dequantize(quantize([0.5, -2, 0], [3, 1], {type: 'signs'} as never))); // 2, -2, 0
 * ```
 */
export function defineFormat<const Type extends string>(definition: FormatDefinition<Type>): void {
  define(formats, definition);
}

/**
 * All definitions of weight formats, the built-in ones first.
 *
 * @example
 * ```ts
 * import {formatDefinitions} from '@tfjs-peft/quant';
 *
 * const types = formatDefinitions().map(({type}) => type); // ['int8', 'int4', …]
 * ```
 */
export function formatDefinitions(): FormatDefinition[] {
  return formats.values();
}

/**
 * Makes a weight format from its config, or from its type with all defaults.
 *
 * @throws ConfigError if the type is unknown, or an option is unknown or out of range. It lists the known
 * ones.
 * @example
 * ```ts
 * import {createFormat} from '@tfjs-peft/quant';
 *
 * const format = createFormat({type: 'int4', group: 32, scales: 'f16'});
 * console.log(format.bits, createFormat('nf4').bits); // 4 4
 * ```
 */
export function createFormat(format: FormatSpec): WeightFormat {
  return createFrom(formats, 'format', format, "'int4', or to a config such as {type: 'int4', group: 32}");
}
