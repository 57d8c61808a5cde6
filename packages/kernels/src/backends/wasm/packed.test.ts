import * as tf from '@tensorflow/tfjs-core';
import {deviation} from '@tfjs-peft/testing/compare';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {type PackedCodes, packedMatMul, packMatrix} from '../../index.js';
import {matMulReference, matrix} from '../../reference/matrix.js';
import {unpackReference} from '../../reference/packed.js';
import {useBackend} from '../../testing/backends.js';
import {packedCase} from '../../testing/packed-cases.js';

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
