import {ConfigError, ShapeError} from '../errors.js';
import {areFinite} from './halves.js';
import {checkGrid, type PackedGrid, type PackedParts, unitsOf, wordsFor} from './layout.js';
import {bytesAsWords, fromWords, toWords, wordBytes} from './words.js';

/** Words in files are whole, whatever the backend. */
export const FILE_WORD_BITS = 32;

/** Codes of a matrix, one an element. */
export type Codes = Uint8Array | Uint16Array;

/** A matrix as codes, one an element of an array, row-major; so are the units' parts. */
export interface PackedCodes extends PackedGrid, PackedParts<Float32Array, Uint16Array, Codes> {
  /** [rows · columns], below 2^bits. */
  codes: Codes;
}

/**
 * What {@link packData} takes besides codes: of a grid, `shape` and `bits` are needed.
 *
 * Defaults: `values` 'integer', `group` all rows, `unitColumns` all columns: one unit a column.
 */
export type PackedSpec = Pick<PackedCodes, 'shape' | 'bits'> & Partial<Omit<PackedCodes, 'codes'>>;

/** A packed matrix on the host, as files have it. The units' parts are row-major. */
export interface PackedData extends PackedGrid, PackedParts<Float32Array, Uint16Array, Uint8Array> {
  /** Words of 32 bits, the lowest byte first; see {@link PackedLayout}. */
  codes: Uint8Array;
  /** Like the codes, along the rows of the units. */
  zeros?: Uint8Array;
}

type Part = Float32Array | {halves: Uint16Array} | undefined;

function checkUnits(what: string, name: string, part: Part, count: number): void {
  if (part === undefined) return;
  const halves = part instanceof Float32Array ? undefined : part.halves;
  if (halves === undefined && !(part instanceof Float32Array))
    throw new ConfigError(`${what}: ${name} is neither a Float32Array nor {halves: Uint16Array}.`);
  const size = (halves ?? (part as Float32Array)).length;
  if (size !== count)
    throw new ShapeError(`${what}: ${name} has ${size} numbers, but there are ${count} units.`);
  const finite = halves ? areFinite(halves, 'f16') : (part as Float32Array).every(Number.isFinite);
  if (!finite) throw new ConfigError(`${what}: ${name} is not finite throughout. Pack finite numbers.`);
}

/** What of data and codes is alike. */
function checkParts(
  what: string,
  packed: PackedGrid & PackedParts<Float32Array, Uint16Array, unknown>,
): void {
  if (packed.values === 'f32')
    throw new ConfigError(`${what}: values 'f32' have no codes. Use prepack, and unpackMatrix to read them.`);
  checkGrid(what, packed, (part) => part !== 'codes' && packed[part] !== undefined);
  const [unitRows, unitColumns] = unitsOf(packed);
  checkUnits(what, 'scale', packed.scale, unitRows * unitColumns);
  checkUnits(what, 'offset', packed.offset, unitRows * unitColumns);
  const entries = packed.codebook?.length;
  if (entries !== undefined && entries !== 2 ** packed.bits)
    throw new ShapeError(
      `${what}: codebook has ${entries} entries, but ${packed.bits} bits need ${2 ** packed.bits}.`,
    );
}

function checkCodes(what: string, name: string, codes: Codes, count: number, bits: number): void {
  if (codes.length !== count)
    throw new ShapeError(`${what}: there are ${codes.length} ${name}, but the shape needs ${count}.`);
  let largest = 0;
  for (let i = 0; i < codes.length; i++) largest = Math.max(largest, codes[i]!);
  if (largest >= 2 ** bits)
    throw new ConfigError(
      `${what}: ${name} go up to ${largest}, but ${bits} bits hold at most ${2 ** bits - 1}.`,
    );
}

/** A copy of the parts that are the same in all forms. */
function shared(packed: PackedGrid & PackedParts<Float32Array, Uint16Array, unknown>) {
  const {shape, bits, values, group, unitColumns, zero, scale, offset, codebook} = packed;
  return {
    ...{shape, bits, values, group, unitColumns},
    ...(zero !== undefined && {zero}),
    ...(scale && {scale}),
    ...(offset && {offset}),
    ...(codebook && {codebook}),
  };
}

/**
 * Compares the sizes of all parts with what the grid says, and codes with their width.
 *
 * @param what Names the caller in messages.
 * @throws ShapeError if a part has another size; ConfigError if a code is too large, a number not finite, or
 * parts contradict each other.
 * @example
 * ```ts
 * import {checkPacked} from '@tfjs-peft/kernels';
 *
 * checkPacked('my reader', {
 *   shape: [1, 2],
 *   bits: 2,
 *   values: 'integer',
 *   group: 1,
 *   unitColumns: 2,
 *   codes: Uint8Array.of(1, 2),
 * });
 * ```
 */
export function checkPacked(what: string, packed: PackedCodes): void {
  checkParts(what, packed);
  const {shape, bits, values, codes, zeros} = packed;
  checkCodes(what, 'codes', codes, shape[0] * shape[1], bits);
  if (values === 'f16' || values === 'bf16') {
    if (!areFinite(codes, values))
      throw new ConfigError(
        `${what}: codes of values '${values}' are not finite throughout. Pack finite numbers.`,
      );
  }
  const units = unitsOf(packed);
  if (zeros !== undefined) checkCodes(what, 'zeros', zeros, units[0] * units[1], bits);
}

/**
 * Packs codes for a file or for {@link packedFrom}.
 *
 * @param codes Row-major, one an element, [rows · columns], each below 2^bits.
 * @param spec The grid and the units' parts; `zeros` are codes like those, [units].
 * @throws ShapeError if a part has another size; ConfigError if a code is too large, a number not finite, or
 * parts contradict each other.
 * @example
 * ```ts
 * import {packData} from '@tfjs-peft/kernels';
 *
 * // [[-8, 7], [0, 1]] / 10, by column, symmetric.
 * const data = packData(Uint8Array.of(0, 15, 8, 9), {
 *   shape: [2, 2],
 *   bits: 4,
 *   zero: 8,
 *   scale: Float32Array.of(0.1, 0.1),
 * });
 * ```
 */
export function packData(codes: Uint8Array | Uint16Array, spec: PackedSpec): PackedData {
  const what = 'packData';
  const [rows, columns]: readonly number[] = Array.isArray(spec.shape) ? spec.shape : [];
  const packed: PackedCodes = {
    values: 'integer',
    group: Math.max(rows ?? 0, 1),
    unitColumns: columns ?? 1,
    ...spec,
    codes,
  };
  checkPacked(what, packed);
  const {shape, bits, zeros} = packed;
  const units = unitsOf(packed);
  const words = (part: Codes, size: readonly [number, number]): Uint8Array =>
    wordBytes(toWords(part, size, bits, FILE_WORD_BITS));
  return {...shared(packed), codes: words(codes, shape), ...(zeros && {zeros: words(zeros, units)})};
}

/**
 * The inverse of {@link packData}.
 *
 * @throws ShapeError if a part has another size than the grid says; ConfigError if parts contradict each
 * other.
 * @example
 * ```ts
 * import {packData, unpackData} from '@tfjs-peft/kernels';
 *
 * const data = packData(Uint8Array.of(1, 2), {shape: [1, 2], bits: 2});
 * const {codes} = unpackData(data); // 1, 2
 * ```
 */
export function unpackData(data: PackedData): PackedCodes {
  checkData('unpackData', data);
  const {shape, bits, zeros} = data;
  const codes = (bytes: Uint8Array, size: readonly [number, number]): Codes =>
    fromWords(bytesAsWords(bytes), size, bits, FILE_WORD_BITS);
  return {
    ...shared(data),
    codes: codes(data.codes, shape),
    ...(zeros && {zeros: codes(zeros, unitsOf(data))}),
  };
}

/** Compares the sizes of all parts with what the grid says. */
export function checkData(what: string, data: PackedData): void {
  checkParts(what, data);
  const bytesFor = ([rows, columns]: readonly [number, number]): number =>
    wordsFor(rows, data.bits, FILE_WORD_BITS) * columns * 4;
  const expect = (name: 'codes' | 'zeros', bytes: number): void => {
    if (data[name]!.byteLength !== bytes)
      throw new ShapeError(
        `${what}: ${name} has ${data[name]!.byteLength} bytes, but the grid needs ${bytes}.`,
      );
  };
  expect('codes', bytesFor(data.shape));
  if (data.zeros !== undefined) expect('zeros', bytesFor(unitsOf(data)));
}
