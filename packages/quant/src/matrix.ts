import {ConfigError, describe, fromHalves, type PackedCodes, ShapeError, toHalves} from '@tfjs-peft/kernels';
import type {Codes, Grid, WeightFormat} from './format.js';
import {Units} from './units.js';

/** A matrix while it is quantised: codes in a format, and the grid of each unit. */
export interface QuantizedMatrix {
  /** [dIn, dOut], as of a Dense kernel. */
  readonly shape: readonly [number, number];
  readonly format: WeightFormat;
  /** Row-major, [dIn · dOut]. */
  readonly codes: Codes;
  /** One for each unit, row-major over the units (see {@link Units}). */
  readonly scale: Float32Array;
  /** Zero points or float offsets, as the format has it, one for each unit. */
  readonly zero: Float64Array;
}

/** Weights beyond this have no scale of which all multiples are finite in float32. */
const LARGEST = 2 ** 126;

/**
 * @throws ShapeError if `values` do not fill a matrix of that shape; ConfigError that names the first weight
 * which is not finite.
 */
export function checkWeights(
  what: string,
  values: ArrayLike<number>,
  [rows, columns]: readonly [number, number],
): void {
  const sizes = [rows, columns].every((size) => Number.isSafeInteger(size) && size >= 1);
  if (!sizes || values.length !== rows * columns) {
    throw new ShapeError(
      `${what}: ${values.length} values do not fill a matrix of shape [${rows},${columns}]. Pass one value for ` +
        'each row and column, and sizes of at least 1.',
    );
  }
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(values[i]!) <= LARGEST) continue;
    throw new ConfigError(
      `${what}: weight (${Math.floor(i / columns)}, ${i % columns}) is ${describe(values[i])}, but only finite ` +
        'weights of at most 2^126 have a code. Repair the weights first.',
    );
  }
}

/** The units of a matrix in a format; one unit of all weights where none share anything. */
export function unitsOf({shape, format}: Pick<QuantizedMatrix, 'shape' | 'format'>): Units {
  return new Units(shape, format.group ?? 'tensor');
}

/** A matrix with all codes 0 and no grids yet, for {@link setGrid} and the codes to come. */
export function emptyMatrix(shape: readonly [number, number], format: WeightFormat): QuantizedMatrix {
  const {count} = unitsOf({shape, format});
  return {
    shape: [shape[0], shape[1]],
    format,
    codes: emptyCodes(format, shape[0] * shape[1]),
    scale: new Float32Array(count),
    zero: new Float64Array(count),
  };
}

export function emptyCodes({bits}: WeightFormat, length: number): Codes {
  return bits > 8 ? new Uint16Array(length) : new Uint8Array(length);
}

/** All grids are made here: objects of one hidden class, so loops over units are compiled once. */
export function makeGrid(scale: number, zero: number): Grid {
  return {scale, zero};
}

export function setGrid({scale, zero}: QuantizedMatrix, unit: number, grid: Grid): void {
  scale[unit] = grid.scale;
  zero[unit] = grid.zero;
}

export function gridOf({scale, zero}: QuantizedMatrix, unit: number): Grid {
  return makeGrid(scale[unit]!, zero[unit]!);
}

/** Writes the weights that codes stand for on a grid, rounded to float32 as a backend does. */
export function decodeUnit(
  {values, codebook, zero: kind}: WeightFormat,
  {scale, zero}: Grid,
  codes: Codes,
  into: Float64Array,
): void {
  const round = Math.fround;
  const {length} = codes;
  if (values === 'f16' || values === 'bf16') into.set(fromHalves(codes, values));
  else if (codebook) for (let i = 0; i < length; i++) into[i] = round(scale * codebook[codes[i]!]!);
  else if (kind === 'offset')
    for (let i = 0; i < length; i++) into[i] = round(round(scale * codes[i]!) + zero);
  else for (let i = 0; i < length; i++) into[i] = round(scale * (codes[i]! - zero));
}

/**
 * The largest number of rows that lie in one unit wherever they begin, for blocks that run on across
 * columns.
 */
function commonRows(flat: number, rows: number): number {
  let [a, b] = [flat, rows];
  while (b > 0) [a, b] = [b, a % b];
  return a;
}

/**
 * The matrix as plain data, which `packMatrix` of `@tfjs-peft/kernels` takes, and {@link dequantize}.
 *
 * Units of the packed form are rows of a column. Blocks that run on across columns (`{flat: n}`) become as
 * many smaller ones as that needs, with equal scales. Zero points beyond the codes (`zeroPoint: 'free'`)
 * become float offsets.
 *
 * @example
 * ```ts
 * import {createFormat, quantizeNearest, toPacked} from '@tfjs-peft/quant';
 *
 * const matrix = quantizeNearest([0.5, -1, 2, 3], [2, 2], createFormat('int4'));
 * const {codes, scale} = toPacked(matrix);
 * ```
 */
export function toPacked({shape, format, codes, scale, zero}: QuantizedMatrix): PackedCodes {
  const [rows, columns] = shape;
  const {bits, values, codebook, group, scales, zero: kind} = format;
  const table = codebook && {codebook: codebook.slice()};
  if (group === undefined) {
    return {shape, bits, values, ...table, group: rows, unitColumns: columns, codes};
  }
  const units = new Units(shape, group);
  const flat = typeof group === 'object';
  const unitRows = flat
    ? commonRows(group.flat, rows)
    : typeof group === 'number'
      ? Math.min(group, rows)
      : rows;
  const unitColumns = group === 'tensor' ? 1 : columns;
  const count = Math.ceil(rows / unitRows) * unitColumns;
  const spread = (part: ArrayLike<number>): Float64Array =>
    Float64Array.from({length: count}, (_, unit) => {
      const place = [Math.floor(unit / unitColumns) * unitRows, unit % unitColumns] as const;
      return part[flat ? units.unitAt(...place) : unit]!;
    });
  const floats = (part: ArrayLike<number>) =>
    scales === 'f16' ? {halves: toHalves(spread(part), 'f16')} : Float32Array.from(spread(part));
  const fits = zero.every((point) => point >= 0 && point < 2 ** bits);
  return {
    ...{shape, bits, values, group: unitRows, unitColumns, codes},
    ...table,
    scale: floats(scale),
    ...(kind === 'middle' && {zero: 2 ** (bits - 1)}),
    ...(kind === 'integer' && fits && {zeros: Uint8Array.from(spread(zero))}),
    ...(kind === 'integer' && !fits && {offset: floats(zero.map((point, unit) => -scale[unit]! * point))}),
    ...(kind === 'offset' && {offset: floats(zero)}),
  };
}
