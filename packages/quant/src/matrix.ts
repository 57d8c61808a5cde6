import {
  ConfigError,
  checkPacked,
  describe,
  fromHalves,
  type PackedCodes,
  ShapeError,
  toHalves,
} from '@tfjs-peft/kernels';
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

/** The units of the packed form, by which `codes` lie there. */
function packedGrid({
  shape: [rows, columns],
  format: {group},
}: Pick<QuantizedMatrix, 'shape' | 'format'>): Pick<PackedCodes, 'group' | 'unitColumns'> {
  if (typeof group === 'object') return {group: commonRows(group.flat, rows), unitColumns: columns};
  return {
    group: typeof group === 'number' ? Math.min(group, rows) : rows,
    unitColumns: group === 'tensor' ? 1 : columns,
  };
}

/** For each unit of the packed form, the unit of the format that it is of. */
function unitPlaces(
  matrix: Pick<QuantizedMatrix, 'shape' | 'format'>,
  {group, unitColumns}: Pick<PackedCodes, 'group' | 'unitColumns'>,
): Uint32Array {
  const units = unitsOf(matrix);
  const length = Math.ceil(matrix.shape[0] / group) * unitColumns;
  return Uint32Array.from({length}, (_, unit) =>
    units.unitAt(Math.floor(unit / unitColumns) * group, unit % unitColumns),
  );
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
export function toPacked(matrix: QuantizedMatrix): PackedCodes {
  const {shape, format, codes, scale, zero} = matrix;
  const {bits, values, codebook, group, scales, zero: kind} = format;
  const table = codebook && {codebook: codebook.slice()};
  const grid = packedGrid(matrix);
  if (group === undefined) return {shape, bits, values, ...table, ...grid, codes};
  const places = unitPlaces(matrix, grid);
  const spread = (part: ArrayLike<number>): Float64Array => Float64Array.from(places, (unit) => part[unit]!);
  const floats = (part: ArrayLike<number>) =>
    scales === 'f16' ? {halves: toHalves(spread(part), 'f16')} : Float32Array.from(spread(part));
  const fits = zero.every((point) => point >= 0 && point < 2 ** bits);
  return {
    ...{shape, bits, values, ...grid, codes},
    ...table,
    scale: floats(scale),
    ...(kind === 'middle' && {zero: 2 ** (bits - 1)}),
    ...(kind === 'integer' && fits && {zeros: Uint8Array.from(spread(zero))}),
    ...(kind === 'integer' && !fits && {offset: floats(zero.map((point, unit) => -scale[unit]! * point))}),
    ...(kind === 'offset' && {offset: floats(zero)}),
  };
}

/**
 * The inverse of {@link toPacked}: a matrix in its format, to be quantised further.
 *
 * @param format That in which it was quantised.
 * @throws ConfigError if it was quantised in another format.
 * @example
 * ```ts
 * import {createFormat, fromPacked, quantize} from '@tfjs-peft/quant';
 *
 * const packed = quantize([0.5, -1, 2, 3], [2, 2], 'int4');
 * const {scale} = fromPacked(packed, createFormat('int4'));
 * ```
 */
export function fromPacked(packed: PackedCodes, format: WeightFormat): QuantizedMatrix {
  checkPacked('fromPacked', packed);
  const matrix = emptyMatrix(packed.shape, format);
  const grid = packedGrid(matrix);
  checkFormat(packed, format, grid);
  matrix.codes.set(packed.codes);
  if (format.group === undefined) return matrix;
  const floats = (part: PackedCodes['scale'] & object): Float32Array =>
    part instanceof Float32Array ? part : fromHalves(part.halves, 'f16');
  const scale = floats(packed.scale!);
  const offset = packed.offset && floats(packed.offset);
  const zeroAt = (at: number): number => {
    if (offset === undefined) return packed.zeros?.[at] ?? packed.zero ?? 0;
    if (format.zero === 'offset') return offset[at]!;
    // Of a zero point that is no code, as toPacked stores it.
    const point = -Math.round(offset[at]! / scale[at]!);
    if (Math.fround(-scale[at]! * point) !== offset[at])
      throw otherFormat(format, 'its offsets are no zero points');
    return point;
  };
  unitPlaces(matrix, grid).forEach((unit, at) => {
    setGrid(matrix, unit, makeGrid(scale[at]!, zeroAt(at)));
  });
  return matrix;
}

/** @throws ConfigError unless the parts of a packed matrix are those that a format gives. */
function checkFormat(
  packed: PackedCodes,
  format: WeightFormat,
  grid: Pick<PackedCodes, 'group' | 'unitColumns'>,
): void {
  const {bits, values, codebook, zero, group, scales} = format;
  if (packed.bits !== bits || packed.values !== values || String(packed.codebook) !== String(codebook))
    throw otherFormat(format, `its codes are ${packed.bits} bits of ${packed.values} values`);
  if (packed.group !== grid.group || packed.unitColumns !== grid.unitColumns)
    throw otherFormat(
      format,
      `its units are of ${packed.group} rows, and ${packed.unitColumns === 1 ? 'all columns share one' : 'of one column'}`,
    );
  if ((packed.scale === undefined) !== (group === undefined))
    throw otherFormat(format, `it has ${packed.scale === undefined ? 'no scales' : 'scales'}`);
  // Backends of small words keep halves as float32.
  if (scales === 'f32' && packed.scale !== undefined && 'halves' in packed.scale)
    throw otherFormat(format, 'its scales are float16');
  const stored = packed.zeros ? 'integer' : packed.offset ? 'offset' : packed.zero ? 'middle' : 'none';
  if (stored !== zero && !(zero === 'integer' && stored === 'offset'))
    throw otherFormat(format, `its zero points are those of a format with zero '${stored}'`);
}

function otherFormat(format: WeightFormat, why: string): ConfigError {
  return new ConfigError(
    `fromPacked: the matrix was not quantised in ${JSON.stringify(format.getConfig())}: ${why}. Pass the format ` +
      'that it was quantised in.',
  );
}
