import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '../errors.js';
import {
  checkData,
  FILE_WORD_BITS,
  type PackedCodes,
  type PackedData,
  type PackedSpec,
  packData,
} from './data.js';
import {fromHalves} from './halves.js';
import {
  HALF_BITS,
  PACKED_PARTS,
  PANEL_COLUMNS,
  type PackedLayout,
  type PackedPart,
  type PackedParts,
  panelShape,
  partShapes,
  unitsOf,
  wordsFor,
} from './layout.js';
import {bytesAsWords, fromWords, toWords, wordBitsOfBackend, wordBytes} from './words.js';

/**
 * A matrix W [rows, columns] that stays packed in the backend's memory: integer codes, and how they are
 * numbers. w = scale · (code - zero), scale · value + offset, or scale · value. See {@link PackedLayout} for
 * where a code lies.
 */
export interface PackedMatrix extends PackedLayout, PackedParts<tf.Tensor, tf.Tensor, tf.Tensor> {
  /** int32, [words, columns]; of values `f32` the numbers, float32, in panels. */
  readonly codes: tf.Tensor;
  /** float32 [units], or halves packed like codes of 16 bits along the units' rows. */
  readonly scale?: tf.Tensor | {halves: tf.Tensor};
  /** int32, packed like the codes along the units' rows. */
  readonly zeros?: tf.Tensor;
  /** As the scale. */
  readonly offset?: tf.Tensor | {halves: tf.Tensor};
  /** float32, [2^bits]. */
  readonly codebook?: tf.Tensor;
}

/**
 * Whether a value is a {@link PackedMatrix} rather than a tensor.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {isPacked} from '@tfjs-peft/kernels';
 *
 * const packed = isPacked(tf.zeros([2, 2])); // false
 * ```
 */
export function isPacked<T extends object>(value: T | PackedMatrix): value is PackedMatrix {
  return 'codes' in value && 'wordBits' in value;
}

/** The transpose of a packed matrix, for which its codes are read as they lie. */
export interface TransposedPacked {
  readonly transposeOf: PackedMatrix;
  /** [columns, rows] of that matrix. */
  readonly shape: readonly [number, number];
}

/** What products of ours take in the place of a plain kernel. */
export type PackedKernel = PackedMatrix | TransposedPacked;

/**
 * The transpose of a packed matrix, of the same tensors: what a table of embeddings is to an output
 * projection that is tied to it.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {combine, packMatrix, transposePacked} from '@tfjs-peft/kernels';
 *
 * const table = packMatrix(new Uint8Array(100 * 8), {shape: [100, 8], bits: 4, zero: 8});
 * const logits = combine({x: tf.ones([2, 8]), kernel: transposePacked(table)}); // [2, 100]
 * ```
 */
export function transposePacked(packed: PackedMatrix): TransposedPacked {
  return {transposeOf: packed, shape: [packed.shape[1], packed.shape[0]]};
}

/** Whether a kernel is packed, transposed or not, rather than a tensor. */
export function isPackedKernel<T extends object>(value: T | PackedKernel): value is PackedKernel {
  return 'transposeOf' in value || isPacked(value);
}

const tensorOf = (part: tf.Tensor | {halves: tf.Tensor}): tf.Tensor =>
  'halves' in part ? part.halves : part;

/** The tensors of a packed matrix by the names of their parts. */
export function packedTensors(packed: PackedMatrix): {codes: tf.Tensor} & {
  [Part in PackedPart]?: tf.Tensor;
} {
  const entries = PACKED_PARTS.flatMap((name) => {
    const part = packed[name];
    return part === undefined ? [] : [[name, tensorOf(part)] as const];
  });
  return {...Object.fromEntries(entries), codes: packed.codes};
}

/** Which of the parts are halves. */
export function halvesOf({scale, offset}: PackedMatrix): {scale: boolean; offset: boolean} {
  const packed = (part: PackedMatrix['scale']): boolean => part !== undefined && 'halves' in part;
  return {scale: packed(scale), offset: packed(offset)};
}

/**
 * The bytes of the tensors of a packed matrix.
 *
 * @example
 * ```ts
 * import {packedBytes, packMatrix} from '@tfjs-peft/kernels';
 *
 * const bytes = packedBytes(packMatrix(new Uint8Array(64), {shape: [8, 8], bits: 4})); // 32
 * ```
 */
export function packedBytes(packed: PackedMatrix): number {
  return Object.values(packedTensors(packed)).reduce((sum, {size}) => sum + size * 4, 0);
}

/**
 * Frees the tensors of a packed matrix.
 *
 * @example
 * ```ts
 * import {disposePacked, packMatrix} from '@tfjs-peft/kernels';
 *
 * disposePacked(packMatrix(new Uint8Array(64), {shape: [8, 8], bits: 4}));
 * ```
 */
export function disposePacked(packed: PackedMatrix): void {
  tf.dispose(Object.values(packedTensors(packed)));
}

/**
 * Packs codes for the active backend.
 *
 * @param codes Row-major, one an element, [rows · columns], each below 2^bits.
 * @param spec The grid and the units' parts, see {@link packData}.
 * @throws ShapeError if a part has another size; ConfigError if a code is too large, a number not finite, or
 * parts contradict each other, or if the backend's words cannot hold a code.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {packedMatMul, packMatrix} from '@tfjs-peft/kernels';
 *
 * const kernel = packMatrix(Uint8Array.of(0, 15, 8, 9), {
 *   shape: [2, 2],
 *   bits: 4,
 *   zero: 8,
 *   scale: Float32Array.of(0.1, 0.1),
 * });
 * const y = packedMatMul(tf.ones([3, 2]), kernel); // [3, 2]
 * ```
 */
export function packMatrix(codes: Uint8Array | Uint16Array, spec: PackedSpec): PackedMatrix {
  return packedFrom(packData(codes, spec));
}

/**
 * The packed matrix of what {@link packData} or {@link readPacked} gave, for the active backend. Where that
 * keeps less than 32 bits of a word, the codes are packed anew, and halves that it cannot hold become
 * float32.
 *
 * @throws ShapeError if a part has another size than the grid says; ConfigError if parts contradict each
 * other, or if the backend's words cannot hold a code.
 * @example
 * ```ts
 * import {packData, packedFrom} from '@tfjs-peft/kernels';
 *
 * const packed = packedFrom(packData(new Uint8Array(64), {shape: [8, 8], bits: 4}));
 * ```
 */
export function packedFrom(data: PackedData): PackedMatrix {
  checkData('packedFrom', data);
  const wordBits = wordBitsOfBackend();
  const {shape, bits, values, group, unitColumns, zero, scale, zeros, offset, codebook} = data;
  if (bits > wordBits)
    throw new ConfigError(
      `packedFrom: codes have ${bits} bits, but the ${tf.getBackend()} backend keeps ${wordBits} of a word. ` +
        'Use fewer bits.',
    );
  const units = unitsOf(data);
  const repacked = (bytes: Uint8Array, size: readonly [number, number], width: number): tf.Tensor => {
    const words = bytesAsWords(bytes);
    return wordsTensor(
      wordBits === FILE_WORD_BITS
        ? words
        : toWords(fromWords(words, size, width, FILE_WORD_BITS), size, width, wordBits),
      [wordsFor(size[0], width, wordBits), size[1]],
    );
  };
  const floats = (part: NonNullable<PackedCodes['scale']>): tf.Tensor | {halves: tf.Tensor} => {
    if (part instanceof Float32Array) return tf.tensor2d(part.slice(), units);
    if (wordBits < HALF_BITS) return tf.tensor2d(fromHalves(part.halves, 'f16'), units);
    const words = toWords(part.halves, units, HALF_BITS, wordBits);
    return {halves: wordsTensor(words, [wordsFor(units[0], HALF_BITS, wordBits), units[1]])};
  };
  return {
    ...{shape, bits, values, group, unitColumns, wordBits},
    ...(zero !== undefined && {zero}),
    codes: repacked(data.codes, shape, bits),
    ...(scale && {scale: floats(scale)}),
    ...(zeros && {zeros: repacked(zeros, units, bits)}),
    ...(offset && {offset: floats(offset)}),
    ...(codebook && {codebook: tf.tensor1d(codebook.slice())}),
  };
}

const wordsTensor = (words: Int32Array, shape: [number, number]): tf.Tensor =>
  tf.tensor2d(words, shape, 'int32');

/**
 * Reads a packed matrix back from its backend.
 *
 * @throws ConfigError if it is of values `f32`, which have no codes.
 * @example
 * ```ts
 * import {packMatrix, readPacked} from '@tfjs-peft/kernels';
 *
 * const data = await readPacked(packMatrix(new Uint8Array(64), {shape: [8, 8], bits: 4}));
 * ```
 */
export async function readPacked(packed: PackedMatrix): Promise<PackedData> {
  if (packed.values === 'f32')
    throw new ConfigError("readPacked: values 'f32' have no codes. Use unpackMatrix, and write its numbers.");
  const {shape, bits, values, group, unitColumns, zero, wordBits, codebook} = packed;
  const units = unitsOf(packed);
  const words = async (tensor: tf.Tensor, size: readonly [number, number]): Promise<Uint8Array> => {
    const own = (await tensor.data()) as Int32Array;
    if (wordBits === FILE_WORD_BITS) return wordBytes(own);
    return wordBytes(toWords(fromWords(own, size, bits, wordBits), size, bits, FILE_WORD_BITS));
  };
  const floats = async (part: NonNullable<PackedMatrix['scale']>): Promise<PackedCodes['scale'] & object> => {
    if (!('halves' in part)) return Float32Array.from(await part.data());
    return {halves: Uint16Array.from(fromWords(await part.halves.data(), units, HALF_BITS, wordBits))};
  };
  return {
    ...{shape, bits, values, group, unitColumns},
    ...(zero !== undefined && {zero}),
    codes: await words(packed.codes, shape),
    ...(packed.scale && {scale: await floats(packed.scale)}),
    ...(packed.zeros && {zeros: await words(packed.zeros, units)}),
    ...(packed.offset && {offset: await floats(packed.offset)}),
    ...(codebook && {codebook: Float32Array.from(await codebook.data())}),
  };
}

/** The first columns of a packed kernel, cut out of its parts, which stay packed. */
export function firstColumns(packed: PackedKernel, count: number): PackedKernel {
  if (count === packed.shape[1]) return packed;
  if ('transposeOf' in packed) {
    const {transposeOf: rows} = packed;
    return transposePacked(corner(rows, [count, rows.shape[1]]));
  }
  return corner(packed, [packed.shape[0], count]);
}

/** The first rows and columns of a packed matrix. */
function corner(packed: PackedMatrix, shape: [number, number]): PackedMatrix {
  const {codes, scale, zeros, offset} = packed;
  const unitColumns = packed.unitColumns === 1 ? 1 : shape[1];
  const grid = {...packed, shape, unitColumns};
  const sizes = partShapes('firstColumns', grid, halvesOf(packed));
  const cut = (t: tf.Tensor, part: PackedPart): tf.Tensor => tf.slice(t, [0, 0], sizes[part]);
  const floats = (name: 'scale' | 'offset', part: NonNullable<PackedMatrix['scale']>) =>
    'halves' in part ? {halves: cut(part.halves, name)} : cut(part, name);
  return {
    ...grid,
    codes: packed.values === 'f32' ? cutPanels(packed, shape) : cut(codes, 'codes'),
    ...(scale && {scale: floats('scale', scale)}),
    ...(zeros && {zeros: cut(zeros, 'zeros')}),
    ...(offset && {offset: floats('offset', offset)}),
  };
}

/** Panels of their first rows only. */
function cutPanels({codes, shape: [rows]}: PackedMatrix, [first, columns]: [number, number]): tf.Tensor {
  const count = Math.ceil(columns / PANEL_COLUMNS);
  const panels = tf.reshape(codes, [codes.size / (rows * PANEL_COLUMNS), rows, PANEL_COLUMNS]);
  return tf.reshape(tf.slice(panels, 0, [count, first, PANEL_COLUMNS]), panelShape([first, columns]));
}
