import * as tf from '@tensorflow/tfjs-core';
import {
  BackendError,
  ConfigError,
  NoGradientError,
  type PackedMatrix,
  packedMatMul,
  packMatrix,
  ShapeError,
  unpackMatrix,
  unpackRows,
} from '../index.js';
import {TEST_BACKENDS, useBackend} from '../testing/backends.js';
import {inexact, PACKED_CASES, packedDeviation, unpackDeviation} from '../testing/packed-cases.js';

const INT4 = {shape: [3, 2] as const, bits: 4 as const, zero: 8};
const CODES = Uint8Array.of(0, 15, 8, 9, 1, 2);

describe.each(TEST_BACKENDS)('packed matrices on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each(PACKED_CASES)('multiply, and so do their transposes: $name', async (c) => {
    expect(await packedDeviation(c)).toBeLessThan(1e-5);
  });

  it.each(PACKED_CASES)('give their rows: $name', async (c) => {
    expect(await unpackDeviation(c)).toBeLessThan(1e-6);
  });

  it('are unpacked with one rounding, to the bit: every code, every half', async () => {
    expect(await inexact()).toEqual([]);
  });

  it('have no gradient, but x and bias have', () => {
    const packed = packMatrix(CODES, {...INT4, scale: Float32Array.of(1, 2)});
    const x = tf.ones([1, 3]);
    const by = (scale: tf.Tensor) => packedMatMul(x, {...packed, scale}, {});
    expect(() => tf.grad(by)(packed.scale as tf.Tensor)).toThrow(NoGradientError);
    expect([
      ...tf
        .grad((t) => packedMatMul(t, packed))(x)
        .dataSync(),
    ]).toEqual([-8 + 14, 2, -7 - 12]);
  });

  it('leave nothing behind', () => {
    const packed = packMatrix(CODES, INT4);
    const before = tf.memory().numTensors;
    const x = tf.ones([2, 2, 3]);
    tf.dispose(packedMatMul(x, packed, {bias: tf.ones([2])}));
    tf.dispose(tf.grad((t) => packedMatMul(t, packed))(x));
    tf.dispose([unpackMatrix(packed), unpackRows(packed, tf.tensor1d([2, 0], 'int32')), x]);
    expect(tf.memory().numTensors).toBe(before + 2);
  });

  it.each([-1, 3, 7, 2 ** 30])('have no row %d', (row) => {
    const packed = packMatrix(CODES, {...INT4, scale: Float32Array.of(1, 2)});
    expect(() => unpackRows(packed, tf.tensor1d([0, row], 'int32'))).toThrow();
  });

  it('are refused where they do not fit', () => {
    const packed = packMatrix(CODES, INT4);
    expect(() => packedMatMul(tf.ones([1, 2]), packed)).toThrow(ShapeError);
    expect(() => packedMatMul(tf.ones([1, 3]), packed, {bias: tf.ones([3])})).toThrow(ShapeError);
    expect(() => unpackRows(packed, tf.ones([1]))).toThrow(ShapeError);
    const change = (changes: Partial<PackedMatrix>) => () =>
      packedMatMul(tf.ones([1, 3]), {...packed, ...changes});
    expect(change({bits: 5 as 4})).toThrow(ConfigError);
    expect(change({bits: 2})).not.toThrow();
    expect(change({group: 0})).toThrow(ConfigError);
    expect(change({unitColumns: 3})).toThrow(ConfigError);
    expect(change({wordBits: 33})).toThrow(BackendError);
    expect(change({wordBits: 3})).toThrow(ConfigError);
    expect(change({codes: tf.zeros([2, 2], 'int32')})).toThrow(ShapeError);
    expect(change({codes: tf.zeros([1, 2])})).toThrow(ShapeError);
    expect(change({scale: tf.zeros([1, 3])})).toThrow(ShapeError);
    expect(change({zeros: tf.zeros([1, 2], 'int32')})).toThrow(ConfigError);
  });
});
