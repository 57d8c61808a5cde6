import type {PackedBits, PackedCodeArray, PackedValues} from '@tfjs-peft/kernels';
import type {Rounding} from './rounding.js';
import type {Group} from './units.js';

/** Codes, one for each weight: bytes up to 8 bits, else 16-bit words. */
export type Codes = PackedCodeArray;

/**
 * What a unit of weights shares. A code's weight is `scale · (value - zero)`; in formats with a float offset,
 * `scale · value + zero`.
 */
export interface Grid {
  scale: number;
  zero: number;
}

/**
 * A way to write weights as codes of a few bits. What comes out is plain data (`PackedCodes` of
 * `@tfjs-peft/kernels`), which is read without the format; a format says how a grid is laid over weights.
 */
export interface WeightFormat {
  /** Width of a code. */
  readonly bits: PackedBits;
  /** How a code is a number, before scale and zero. */
  readonly values: PackedValues;
  /** The 2^bits numbers of `values: 'codebook'`. */
  readonly codebook?: Float32Array;
  /**
   * What {@link Grid}.zero is: always 0 (`'none'`), always the middle code (`'middle'`), a whole number
   * (`'integer'`), or a float that is added (`'offset'`).
   */
  readonly zero: 'none' | 'middle' | 'integer' | 'offset';
  /** Which weights share a grid. Absent if a code is a number by itself. */
  readonly group?: Group;
  /** How quotients become codes, where that is not the nearest code. */
  readonly rounding?: Rounding;
  /**
   * How scales and offsets are stored. With `'f16'`, {@link fit} gives numbers that float16 holds
   * exactly.
   */
  readonly scales: 'f32' | 'f16';
  /**
   * The grid of a unit whose weights lie between `low` and `high`, both finite.
   *
   * @throws ConfigError if `scales` cannot hold the grid.
   */
  fit(low: number, high: number): Grid;
  /**
   * Writes the code of each weight into `codes`. With `inRange`, it sets 1 where the code was not clamped to
   * the range of codes, else 0.
   *
   * @throws ConfigError if a weight has no code.
   */
  encode(weights: Float64Array, grid: Grid, codes: Codes, inRange?: Uint8Array): void;
  /**
   * The derivatives of the scale by `low` and by `high`. Absent if they are not defined while the zero point
   * is constant.
   */
  slopes?(low: number, high: number): readonly [number, number];
  /** A JSON config with all defaults, from which `createFormat` makes an equal format. */
  getConfig(): FormatConfig;
}

/**
 * Configs by format type. Each format's file adds its own by declaration merging; a package with its own
 * format does the same.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is empty here, so that this file names no format.
export interface FormatConfigs {}

/** The config of any known weight format, discriminated by `type`. */
export type FormatConfig = FormatConfigs[keyof FormatConfigs];

/** A format by its config, or by its type alone for all defaults. */
export type FormatSpec = FormatConfig | FormatConfig['type'];
