import * as tf from '@tensorflow/tfjs-core';
import {deviation} from '@tfjs-peft/testing/compare';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {type PackedCodes, packedMatMul, packMatrix} from '../../index.js';
import {PACKED_VALUES} from '../../packed/layout.js';
import {matMulReference, matrix} from '../../reference/matrix.js';
import {unpackReference} from '../../reference/packed.js';
import {useBackend} from '../../testing/backends.js';
import {packedCase} from '../../testing/packed-cases.js';
import {attach} from './attach.js';

/**
 * A matrix of 2^24 rows, of which nothing but the last is in memory: its parts begin so far before it, modulo
 * 2^32 as addresses are counted, that its address is right only if every step of the arithmetic is.
 */
it.each([4, 8, 16] as const)('rows beyond 2^31 bits are found on wasm: %d bits', async (bits) => {
  await useBackend('wasm');
  const [rows, columns, perWord] = [2 ** 24, 37, 32 / bits];
  expect(rows * columns * bits).toBeGreaterThan(2 ** 31);
  const words = Int32Array.from({length: columns}, (_, i) => Math.imul(i + 1, 0x9e3779b1));
  const zeros = Int32Array.from({length: columns}, (_, i) => Math.imul(i + 3, 0x85ebca6b));
  const scale = Float32Array.from({length: columns}, (_, i) => 1 + i / 8);
  const backend = tf.backend();
  const wasm = attach(backend);
  const tensors = [
    tf.tensor(words, [columns], 'int32'),
    tf.tensor(zeros, [columns], 'int32'),
    tf.tensor(scale),
  ];
  const [codesAt, zerosAt, scaleAt] = tensors.map((tensor) => wasm.pointerTo(tensor));
  const before = (units: number) => 4 * units * columns;
  const struct = wasm.scratch(64 + wasm.exports.packedScratch(0));
  const lastWord = rows / perWord - 1;
  wasm.write(struct, [
    ...[rows, columns, bits, 32, PACKED_VALUES.indexOf('integer'), 1, columns, 0],
    ...[codesAt! - before(lastWord), scaleAt! - before(rows - 1), 0, zerosAt! - before(lastWord), 0, 0, 0],
  ]);
  const list = tf.tensor1d([rows - 1], 'int32');
  const out = tf.zeros([columns]);
  wasm.exports.unpackRows(struct, wasm.pointerTo(list), 1, wasm.pointerTo(out), struct + 64);
  const code = (word: number): number => word >>> (32 - bits);
  const want = Array.from(words, (word, i) => Math.fround((code(word) - code(zeros[i]!)) * scale[i]!));
  expect([...out.dataSync()]).toEqual(want);
  tf.dispose([...tensors, list, out]);
});

/** Few rows of x meet the codes as integers: here, where that could show. */
describe.each([4, 8] as const)('one row of x and a matrix of %d bits on wasm', (bits) => {
  const shape: [number, number] = [2048, 21];
  const random = randomNumbers(3);
  let w: PackedCodes;

  beforeAll(async () => {
    await useBackend('wasm');
    w = packedCase({name: '', shape, bits, zero: 2 ** (bits - 1), scale: 'f32'});
  });

  function product(x: Float32Array, rows = 1): {got: Float32Array; want: Float64Array} {
    const {codes, ...spec} = w;
    const got = tf.tidy(() =>
      packedMatMul(tf.tensor2d(x, [rows, shape[0]]), packMatrix(codes, spec)).dataSync<'float32'>(),
    );
    const want = matMulReference(matrix(rows, shape[0], x), unpackReference(w));
    return {got, want: want.data};
  }

  const row = (low: number, high: number): Float32Array =>
    Float32Array.from(randomValues(random, shape[0], low, high));

  it.each([
    ['numbers around zero', () => row(-1, 1)],
    ['numbers of one sign, whose sum the zero point takes off again', () => row(9, 10)],
    ['one number far above the others', () => row(-1, 1).fill(5000, 700, 701)],
    ['large numbers', () => row(-1e30, 1e30)],
    ['three rows', () => Float32Array.from([...row(-1, 1), ...row(0, 1), ...row(-100, 100)])],
  ])('has the sums of float64: %s', (_, make) => {
    const x = make();
    const {got, want} = product(x, x.length / shape[0]);
    expect(deviation(got, want)).toBeLessThan(1e-6);
  });

  it('keeps numbers that are too small for that, and zeros', () => {
    const x = row(-1e-27, 1e-27);
    const {got, want} = product(x);
    expect(
      deviation(
        got.map((value) => value * 1e27),
        want.map((value) => value * 1e27),
      ),
    ).toBeLessThan(1e-5);
    expect([...product(x.fill(0)).got]).toEqual(new Array(shape[1]).fill(0));
  });

  it('shows what is no number', () => {
    expect([...product(row(-1, 1).fill(Number.NaN, 9, 10)).got]).toEqual(
      new Array(shape[1]).fill(Number.NaN),
    );
    const {got} = product(row(-1, 1).fill(Number.POSITIVE_INFINITY, 9, 10));
    expect(got.some(Number.isFinite)).toBe(false);
  });
});
