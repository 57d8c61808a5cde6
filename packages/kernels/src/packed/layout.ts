import {LIMITS} from '../bounds.js';
import {describe} from '../describe.js';
import {ConfigError} from '../errors.js';

/** The widths that a code may have. */
export const PACKED_BITS = [2, 3, 4, 8, 16] as const;
export type PackedBits = (typeof PACKED_BITS)[number] | 32;

/** How a code is a number. */
export const PACKED_VALUES = ['integer', 'f16', 'bf16', 'codebook', 'f32'] as const;

/**
 * - `integer`: the code itself, less the zero point.
 * - `f16`, `bf16`: the bits of a half or of a bfloat16, of 16 bits.
 * - `f32`: the number itself, of 32 bits, in the order in which a product reads it; see `prepack`.
 * - `codebook`: what a table of 2^bits float32 numbers has at the code, of at most 8 bits.
 */
export type PackedValues = (typeof PACKED_VALUES)[number];

/**
 * How the codes of a matrix W [rows, columns] are numbers, and which of them share a scale. A *unit* is what
 * shares one: weight (i, j) is of unit (⌊i / group⌋, j), or, if all columns have one, (⌊i / group⌋, 0).
 */
export interface PackedGrid {
  /** [rows, columns]; [dIn, dOut] for y = x W. */
  readonly shape: readonly [number, number];
  readonly bits: PackedBits;
  readonly values: PackedValues;
  /** How many rows share a unit. The last group may be short. */
  readonly group: number;
  /** 1 if all columns share a unit, else the number of columns. */
  readonly unitColumns: number;
  /** The zero point of all units; with `values: 'integer'`. */
  readonly zero?: number;
}

/** How a packed matrix lies in memory. */
export interface PackedLayout extends PackedGrid {
  /**
   * How many bits of each int32 hold codes: word (r, c) has the codes of ⌊wordBits / bits⌋ successive rows of
   * column c, the first in its lowest bits.
   */
  readonly wordBits: number;
}

/** Which parts a packed matrix has besides its codes, and as what. */
export interface PackedParts<Floats, Halves, Codes> {
  /** Multiplies the values, one a unit. Default 1. */
  scale?: Floats | {halves: Halves};
  /** Zero points, integers of the codes' own width, one a unit: w = scale · (code - zero). */
  zeros?: Codes;
  /** Added behind the scale, one a unit: w = scale · value + offset. */
  offset?: Floats | {halves: Halves};
  /** The 2^bits values, with `values: 'codebook'`. */
  codebook?: Floats;
}

/** The names of the parts, codes first. */
export const PACKED_PARTS = ['codes', 'scale', 'zeros', 'offset', 'codebook'] as const;
export type PackedPart = (typeof PACKED_PARTS)[number];

/** The parts that a kernel is given. */
export type GivenParts<Part> = {[Name in PackedPart]?: Part | undefined};

/** Rows of a matrix: their numbers are exact in float32, as which some backends have them. */
const MOST_ROWS = 2 ** 24;
const MOST_ZERO = 2 ** 24;
/** The bits of a half, of which words hold several, like codes. */
export const HALF_BITS = 16;

const within = (value: unknown, min: number, max: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;

/**
 * Checks that a grid is one, before anything has its size.
 *
 * @param what Names the caller in messages.
 * @param has The parts that come with it.
 * @throws ConfigError that names what is out of range, and the range.
 */
export function checkGrid(what: string, grid: PackedGrid, has: (part: PackedPart) => boolean): void {
  const refuse = (name: string, given: unknown, allowed: string): never => {
    throw new ConfigError(`${what}: ${name} is ${describe(given)}. Set ${name} to ${allowed}.`);
  };
  const {shape, bits, values, group, unitColumns, zero} = grid;
  const [rows, columns] = Array.isArray(shape) && shape.length === 2 ? (shape as number[]) : [];
  if (!within(rows, 0, MOST_ROWS) || !within(columns, 0, LIMITS.parameters))
    refuse('shape', shape, `[rows, columns], with at most ${MOST_ROWS} rows`);
  if (rows! * columns! > LIMITS.parameters)
    refuse('shape', shape, `one of at most ${LIMITS.parameters} weights`);
  if (values === 'f32') {
    if (bits !== 32) refuse('bits', bits, "32, as values 'f32' have");
  } else if (!(PACKED_BITS as readonly number[]).includes(bits))
    refuse('bits', bits, `one of ${PACKED_BITS.join(', ')}`);
  if (!PACKED_VALUES.includes(values)) refuse('values', values, `one of ${PACKED_VALUES.join(', ')}`);
  if ((values === 'f16' || values === 'bf16') && bits !== HALF_BITS)
    refuse('bits', bits, `${HALF_BITS}, as values '${values}' have`);
  if (values === 'codebook' && bits > 8) refuse('bits', bits, '8 or less, as a codebook has');
  if (values === 'f32' && (has('scale') || has('offset')))
    throw new ConfigError(`${what}: values 'f32' have neither scale nor offset. Leave them out.`);
  if (has('codebook') !== (values === 'codebook'))
    throw new ConfigError(`${what}: a codebook and values 'codebook' go together. Give both or neither.`);
  if (!within(group, 1, MOST_ROWS)) refuse('group', group, `a whole number of rows, 1 to ${MOST_ROWS}`);
  if (unitColumns !== 1 && unitColumns !== columns)
    refuse('unitColumns', unitColumns, `1 or the number of columns, ${columns}`);
  const shifts = [zero !== undefined && 'zero', has('zeros') && 'zeros', has('offset') && 'offset'];
  const given = shifts.filter((name) => name !== false);
  if (given.length > 1)
    throw new ConfigError(
      `${what}: it has ${given.join(' and ')}, of which one will do. Leave the rest out.`,
    );
  if (values !== 'integer' && (zero !== undefined || has('zeros')))
    throw new ConfigError(`${what}: values '${values}' have no zero point. Use offset.`);
  if (zero !== undefined && !within(zero, -MOST_ZERO, MOST_ZERO))
    refuse('zero', zero, `a whole number from ${-MOST_ZERO} to ${MOST_ZERO}`);
}

/** How many codes of some width a word holds. */
export function codesPerWord(bits: number, wordBits: number): number {
  return Math.floor(wordBits / bits);
}

/**
 * Where the codes of a row lie: from which word on, and by how many bits shifted in each. Words are counted,
 * not bits or bytes, of which there can be more than 2^31.
 */
export function placeOfRow(
  row: number,
  columns: number,
  {bits, wordBits}: {bits: number; wordBits: number},
): {from: number; shift: number} {
  const perWord = codesPerWord(bits, wordBits);
  return {from: Math.floor(row / perWord) * columns, shift: (row % perWord) * bits};
}

/** Writes the codes of one row to `into`, from `at` on. */
export function readCodes(
  words: ArrayLike<number>,
  row: number,
  columns: number,
  widths: {bits: number; wordBits: number},
  into: Uint8Array | Uint16Array,
  at: number,
): void {
  const {from, shift} = placeOfRow(row, columns, widths);
  const mask = 2 ** widths.bits - 1;
  for (let column = 0; column < columns; column++)
    into[at + column] = (words[from + column]! >>> shift) & mask;
}

/** How many words hold so many rows of codes. */
export function wordsFor(rows: number, bits: number, wordBits: number): number {
  return Math.ceil(rows / codesPerWord(bits, wordBits));
}

/** Columns of a panel of values `f32`. */
export const PANEL_COLUMNS = 16;

/** Panels of all rows of 16 columns, one after the other; what the last one lacks is padding. */
export function panelShape([rows, columns]: readonly [number, number]): [number, number] {
  return [Math.ceil(columns / PANEL_COLUMNS) * rows, PANEL_COLUMNS];
}

/** Rows and columns of the units. */
export function unitsOf({shape, group, unitColumns}: PackedGrid): [number, number] {
  return [Math.ceil(shape[0] / group), unitColumns];
}

/**
 * The shapes of the parts, if they are there.
 *
 * @param halves Which of scale and offset are halves, in words.
 * @throws ConfigError if there are no words that could hold them.
 */
export function partShapes(
  what: string,
  layout: PackedLayout,
  halves: {scale?: boolean; offset?: boolean},
): Record<PackedPart, number[]> {
  const {shape, bits, wordBits} = layout;
  const least = halves.scale || halves.offset ? Math.max(bits, HALF_BITS) : bits;
  if (!within(wordBits, least, 32))
    throw new ConfigError(`${what}: wordBits is ${describe(wordBits)}. Set wordBits from ${least} to 32.`);
  const [rows, columns] = unitsOf(layout);
  const packed = (of: number, width: number): number => wordsFor(of, width, wordBits);
  const floats = (half: boolean | undefined) => [half ? packed(rows, HALF_BITS) : rows, columns];
  return {
    codes: layout.values === 'f32' ? panelShape(shape) : [packed(shape[0], bits), shape[1]],
    scale: floats(halves.scale),
    zeros: [packed(rows, bits), columns],
    offset: floats(halves.offset),
    codebook: [2 ** bits],
  };
}
