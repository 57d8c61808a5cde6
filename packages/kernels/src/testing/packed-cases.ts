import * as tf from '@tensorflow/tfjs-core';
import {deviation} from '@tfjs-peft/testing/compare';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {packedMatMul, unpackMatrix, unpackRows} from '../ops/packed.js';
import {prepack} from '../ops/prepack.js';
import {type PackedCodes, type PackedSpec, packData, unpackData} from '../packed/data.js';
import {HALF_FORMATS, type HalfFormat, toHalves} from '../packed/halves.js';
import {PACKED_BITS} from '../packed/layout.js';
import {disposePacked, type PackedMatrix, packedFrom, packMatrix} from '../packed/matrix.js';
import {wordBitsOfBackend} from '../packed/words.js';
import {generate, type Matrix, matMulReference, matrix} from '../reference/matrix.js';
import {unpackReference} from '../reference/packed.js';
import {opDeviation} from './gradient-check.js';

type Floats = 'f32' | 'f16';

/** A kind of packed matrix, and the size at which it is tried. */
export interface PackedCase {
  name: string;
  shape: [number, number];
  bits: PackedCodes['bits'];
  values?: PackedCodes['values'];
  /** Default: one unit a column. */
  units?: 'tensor' | {group: number};
  zero?: number;
  scale?: Floats;
  zeros?: true;
  offset?: Floats;
  /** Axes before the last of x. Default [3]. */
  leading?: number[];
}

const middle = (bits: number): number => 2 ** (bits - 1);

/** Every kind of format, at rows that fill neither words nor groups, one row, one column, and none. */
export const PACKED_CASES: PackedCase[] = [
  ...([2, 3, 4, 8] as const).flatMap((bits): PackedCase[] => [
    {name: `int${bits} symmetric`, shape: [21, 18], bits, zero: middle(bits), scale: 'f32'},
    {name: `int${bits} in groups`, shape: [37, 5], bits, units: {group: 8}, zero: middle(bits), scale: 'f16'},
    {name: `int${bits} zeros`, shape: [37, 7], bits, units: {group: 9}, scale: 'f32', zeros: true},
    {name: `int${bits} offset`, shape: [29, 20], bits, units: {group: 4}, scale: 'f16', offset: 'f16'},
  ]),
  {name: 'int4 groups of a word', shape: [70, 35], bits: 4, units: {group: 32}, zero: 8, scale: 'f16'},
  {
    name: 'int4 many rows of x',
    shape: [41, 33],
    bits: 4,
    units: {group: 16},
    zero: 8,
    scale: 'f32',
    leading: [9, 2],
  },
  {name: 'int8 many rows of x', shape: [41, 33], bits: 8, scale: 'f32', zeros: true, leading: [2, 9]},
  {name: 'int4 zeros by tensor', shape: [19, 6], bits: 4, units: 'tensor', scale: 'f32', zeros: true},
  {name: 'int8 by tensor', shape: [19, 6], bits: 8, units: 'tensor', scale: 'f32', offset: 'f32'},
  {name: 'int16 offset', shape: [7, 9], bits: 16, scale: 'f32', offset: 'f32'},
  {name: 'int4 plain', shape: [9, 4], bits: 4, zero: 8},
  {name: 'nf4', shape: [35, 17], bits: 4, values: 'codebook', units: {group: 16}, scale: 'f16'},
  {name: '256 entries', shape: [35, 3], bits: 8, values: 'codebook'},
  {name: '256 entries, scaled', shape: [11, 17], bits: 8, values: 'codebook', scale: 'f32', offset: 'f32'},
  {name: 'f32', shape: [21, 37], bits: 32, values: 'f32'},
  {name: 'f32, many rows of x', shape: [41, 33], bits: 32, values: 'f32', leading: [3, 7]},
  {name: 'f32, one column', shape: [19, 1], bits: 32, values: 'f32', leading: [1]},
  {name: 'f32, no columns', shape: [5, 0], bits: 32, values: 'f32'},
  {name: 'f16', shape: [13, 21], bits: 16, values: 'f16'},
  {name: 'bf16', shape: [13, 21], bits: 16, values: 'bf16'},
  {name: 'one row', shape: [1, 9], bits: 4, zero: 8, scale: 'f16'},
  {name: 'one column', shape: [26, 1], bits: 3, units: {group: 5}, scale: 'f32', zeros: true},
  {
    name: 'one row of x',
    shape: [26, 19],
    bits: 4,
    units: {group: 5},
    scale: 'f32',
    zeros: true,
    leading: [1],
  },
  {name: 'no rows of x', shape: [9, 5], bits: 4, zero: 8, scale: 'f32', leading: [0]},
  {name: 'no rows', shape: [0, 5], bits: 4, zero: 8, scale: 'f32'},
  {name: 'no columns', shape: [5, 0], bits: 8, zero: 8, scale: 'f32'},
];

/** Random codes and units, of all the values that each can have; the first code is the highest. */
export function packedCase({
  shape,
  bits,
  values,
  units,
  zero,
  scale,
  zeros,
  offset,
}: PackedCase): PackedCodes {
  const random = randomNumbers(41);
  const [rows, columns] = shape;
  const codesOf = (count: number): Uint8Array | Uint16Array => {
    const codes = new (bits > 8 ? Uint16Array : Uint8Array)(count);
    for (let i = 0; i < count; i++) codes[i] = i === 0 ? 2 ** bits - 1 : Math.floor(random() * 2 ** bits);
    return codes;
  };
  const group = typeof units === 'object' ? units.group : Math.max(rows, 1);
  const unitColumns = units === 'tensor' ? 1 : columns;
  const count = Math.ceil(rows / group) * unitColumns;
  const floats = (as: Floats, size: number): NonNullable<PackedSpec['scale']> => {
    const numbers = Float32Array.from(randomValues(random, count, 0.2 * size, size));
    return as === 'f32' ? numbers : {halves: toHalves(numbers, 'f16')};
  };
  const half = values === 'f16' || values === 'bf16';
  const codes = half ? toHalves(randomValues(random, rows * columns), values) : codesOf(rows * columns);
  // A zero, the least and a larger subnormal, and -0, of both formats.
  if (half) codes.set([0, 1, 100, 0x8000]);
  return {
    codes,
    ...{shape, bits, group, unitColumns},
    values: values ?? 'integer',
    ...(zero !== undefined && {zero}),
    ...(scale && {scale: floats(scale, 4 / 2 ** bits)}),
    ...(zeros && {zeros: codesOf(count)}),
    ...(offset && {offset: floats(offset, -2)}),
    ...(values === 'codebook' && {codebook: Float32Array.from(randomValues(random, 2 ** bits))}),
  };
}

/** Whether the active backend's words hold the case's codes. */
const fits = ({bits, values}: Pick<PackedCase, 'bits' | 'values'>): boolean =>
  values === 'f32' || bits <= wordBitsOfBackend();

/** The matrix of a case in float64, and packed for the active backend. */
function matricesOf(c: PackedCase): {w: Matrix; packed: PackedMatrix} {
  if (c.values === 'f32') {
    const [rows, columns] = c.shape;
    const numbers = Float32Array.from(randomValues(randomNumbers(41), rows * columns));
    const plain = tf.tensor2d(numbers, c.shape);
    const packed = prepack(plain);
    plain.dispose();
    return {w: matrix(rows, columns, numbers), packed};
  }
  const {codes, ...spec} = packedCase(c);
  const data = packData(codes, spec);
  return {w: unpackReference(unpackData(data)), packed: packedFrom(data)};
}

/**
 * How far the product with a packed matrix, the one with its transpose, and their gradients are from float64
 * on the active backend.
 */
export async function packedDeviation(c: PackedCase): Promise<number> {
  if (!fits(c)) return 0;
  const random = randomNumbers(42);
  const {w, packed} = matricesOf(c);
  const leading = c.leading ?? [3];
  const rows = leading.reduce((a, b) => a * b, 1);
  let worst = 0;
  for (const transposeW of [false, true]) {
    const [from, to] = transposeW ? [w.columns, w.rows] : [w.rows, w.columns];
    const x = matrix(rows, from, randomValues(random, rows * from));
    const bias = matrix(1, to, randomValues(random, to));
    const product = () => matMulReference(x, w, false, transposeW);
    const off = await opDeviation({
      inputs: {x, bias},
      shapes: {x: [...leading, from], bias: [to]},
      random,
      reference: () => {
        const plain = product();
        return {y: generate(rows, to, (i, j) => plain.data[i * to + j]! + bias.data[j]!), plain};
      },
      op: (t) => ({
        y: packedMatMul(t.x!, packed, {bias: t.bias as tf.Tensor1D, transposeW}),
        plain: packedMatMul(t.x!, packed, {transposeW}),
      }),
    });
    worst = Math.max(worst, off);
  }
  disposePacked(packed);
  return worst;
}

/** How far the rows of a packed matrix are from float64, all of them and some by their numbers. */
export async function unpackDeviation(c: PackedCase): Promise<number> {
  if (!fits(c)) return 0;
  const random = randomNumbers(43);
  const {w, packed} = matricesOf(c);
  const all = unpackRows(packed);
  let worst = deviation(await all.data(), w.data);
  if (!tf.util.arraysEqual(all.shape, c.shape)) worst = Number.POSITIVE_INFINITY;
  const picked = Int32Array.from({length: w.rows === 0 ? 0 : 6}, (_, i) =>
    i === 0 ? w.rows - 1 : Math.floor(random() * w.rows),
  );
  const rows = tf.tidy(() => unpackRows(packed, tf.tensor2d(picked, [2, picked.length / 2], 'int32')));
  const want = [...picked].flatMap((row) => [...w.data.subarray(row * w.columns, (row + 1) * w.columns)]);
  worst = Math.max(worst, deviation(await rows.data(), want));
  if (!tf.util.arraysEqual(rows.shape, [2, picked.length / 2, w.columns])) worst = Number.POSITIVE_INFINITY;
  tf.dispose([all, rows]);
  disposePacked(packed);
  return worst;
}

/** Every number of a format of 16 bits that is finite. */
function allFinite(format: HalfFormat): Uint16Array {
  const {mantissa, exponents} = HALF_FORMATS[format];
  const count = (exponents - 1) * 2 ** mantissa;
  return Uint16Array.from({length: 2 * count}, (_, i) => (i < count ? i : 2 ** 15 + i - count));
}

/** Matrices of which every weight takes at most one rounding. */
function exactMatrices(): [name: string, packed: PackedCodes][] {
  const plain = (codes: Uint16Array, more: Pick<PackedCodes, 'bits' | 'values'>): PackedCodes => {
    const rows = codes.length / Math.min(codes.length, 256);
    return {codes, shape: [rows, codes.length / rows], group: rows, unitColumns: 1, ...more};
  };
  return [
    ...PACKED_CASES.filter(({offset, values}) => offset === undefined && values !== 'f32').map(
      (c): [string, PackedCodes] => [c.name, packedCase(c)],
    ),
    ...PACKED_BITS.map((bits): [string, PackedCodes] => [
      `codes of ${bits} bits`,
      plain(
        Uint16Array.from({length: 2 ** bits}, (_, i) => i),
        {bits, values: 'integer'},
      ),
    ]),
    ...(['f16', 'bf16'] as const).map((values): [string, PackedCodes] => [
      `all of ${values}`,
      plain(allFinite(values), {bits: 16, values}),
    ]),
  ];
}

const LEAST_NORMAL = 2 ** -126;

/**
 * The matrices of one rounding a weight that are not unpacked to the bit on the active backend. GPUs may take
 * float32's own subnormal numbers for zero.
 */
export async function inexact(): Promise<string[]> {
  const wrong: string[] = [];
  for (const [name, {codes, ...spec}] of exactMatrices()) {
    if (!fits(spec)) continue;
    const packed = packMatrix(codes, spec);
    const w = unpackMatrix(packed);
    const got = await w.data();
    const want = Float32Array.from(unpackReference({codes, ...spec}).data);
    const at = want.findIndex((value, i) => got[i] !== value && Math.abs(value) >= LEAST_NORMAL);
    if (at >= 0) wrong.push(`${name}: weight ${at} is ${got[at]}, but should be ${want[at]}`);
    w.dispose();
    disposePacked(packed);
  }
  return wrong;
}

/** What comes of a product with a matrix that was packed while the cpu backend was active. */
export async function widerWords(): Promise<string> {
  const backend = tf.getBackend();
  await tf.setBackend('cpu');
  const packed = packMatrix(Uint8Array.of(1, 2), {shape: [2, 1], bits: 2});
  await tf.setBackend(backend);
  try {
    return `${await tf.tidy(() => packedMatMul(tf.ones([1, 2]), packed)).data()}`;
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  } finally {
    disposePacked(packed);
  }
}
