import * as tf from '@tensorflow/tfjs-core';
import {
  ConfigError,
  disposePacked,
  fromHalves,
  type PackedSpec,
  packData,
  packedBytes,
  packedFrom,
  readPacked,
  ShapeError,
  toHalves,
  unpackData,
  unpackMatrix,
} from '../index.js';
import {useBackend} from '../testing/backends.js';
import {PACKED_CASES, packedCase} from '../testing/packed-cases.js';
import {PACKED_BITS, placeOfRow, readCodes, wordsFor} from './layout.js';
import {fromWords, toWords, wordsOfBytes} from './words.js';

beforeAll(() => useBackend('cpu'));

/** Values `f32` have no codes, and no data on the host but the plain numbers. */
const CODED = PACKED_CASES.filter(({values}) => values !== 'f32');

describe('packed data', () => {
  it.each(CODED)('gives back what was packed, and what a backend has of it: $name', async (c) => {
    const {codes, ...spec} = packedCase(c);
    const data = packData(codes, spec);
    const own = unpackData(data);
    expect({...own, codes: [...own.codes], zeros: [...(own.zeros ?? [])]}).toEqual({
      ...spec,
      codes: [...codes],
      zeros: [...(spec.zeros ?? [])],
    });
    const packed = packedFrom(data);
    expect(await readPacked(packed)).toEqual(data);
    disposePacked(packed);
  });

  it.each([11, 24])('takes the same numbers in words of %d bits', async (wordBits) => {
    for (const c of CODED.filter(({bits}) => bits <= wordBits)) {
      const {codes, shape, bits} = packedCase(c);
      const words = toWords(codes, shape, bits, wordBits);
      expect(words.every((word) => word >= 0 && word < 2 ** wordBits)).toBe(true);
      expect(fromWords(words, shape, bits, wordBits)).toEqual(codes);
    }
  });

  it('has its codes where exact arithmetic has them, beyond 2^31 bits', () => {
    const [rows, columns] = [2 ** 24, 32];
    for (const bits of PACKED_BITS) {
      for (const wordBits of [32, 24, 16]) {
        const perWord = BigInt(Math.floor(wordBits / bits));
        // Words that say where they are, in place of as many in memory.
        const words = new Proxy<ArrayLike<number>>([], {get: (_, at) => Math.imul(Number(at), 0x9e3779b1)});
        for (const row of [0, 2 ** 23 + 1, 2 ** 24 - 2, 2 ** 24 - 1]) {
          const from = (BigInt(row) / perWord) * BigInt(columns);
          const shift = (BigInt(row) % perWord) * BigInt(bits);
          expect(placeOfRow(row, columns, {bits, wordBits})).toEqual({
            from: Number(from),
            shift: Number(shift),
          });
          const codes = new Uint16Array(columns);
          readCodes(words, row, columns, {bits, wordBits}, codes, 0);
          const want = Array.from({length: columns}, (_, column) => {
            const word = BigInt.asUintN(32, (from + BigInt(column)) * 0x9e3779b1n);
            return Number(BigInt.asUintN(bits, word >> shift));
          });
          expect([...codes]).toEqual(want);
        }
        expect(wordsFor(rows, bits, wordBits)).toBe(Number((BigInt(rows) + perWord - 1n) / perWord));
      }
    }
    expect([2 ** 31 - 4, 2 ** 31, 2 ** 32].map(wordsOfBytes)).toEqual([2 ** 29 - 1, 2 ** 29, 2 ** 30]);
  });

  it('is as small as it says', () => {
    const packed = packedFrom(
      packData(new Uint8Array(64 * 10), {
        ...{shape: [64, 10], bits: 4, group: 32, zero: 8},
        scale: {halves: new Uint16Array(20)},
      }),
    );
    expect(packedBytes(packed)).toBe((64 * 10) / 2 + 2 * 20);
    const {numBytes} = tf.memory();
    disposePacked(packed);
    expect(numBytes - tf.memory().numBytes).toBe(360);
  });

  it('has its codes along the rows, the first in the lowest bits, the lowest byte first', () => {
    const {codes} = packData(Uint8Array.of(1, 9, 2, 8, 3, 7), {shape: [3, 2], bits: 4});
    expect([...codes]).toEqual([0x21, 0x03, 0, 0, 0x89, 0x07, 0, 0]);
  });

  it('takes data at any place of a buffer', async () => {
    const data = packData(Uint8Array.of(1, 9, 2, 8, 3, 7), {shape: [3, 2], bits: 4});
    const moved = new Uint8Array(data.codes.length + 1);
    moved.set(data.codes, 1);
    const w = unpackMatrix(packedFrom({...data, codes: moved.subarray(1)}));
    expect([...(await w.data())]).toEqual([1, 9, 2, 8, 3, 7]);
  });

  const spec: PackedSpec = {shape: [3, 2], bits: 4};
  const units = (count: number) => new Float32Array(count);
  const wrong: [string, object, new (message: string) => Error][] = [
    ['no shape', {shape: undefined}, ConfigError],
    ['a shape of another rank', {shape: [6]}, ConfigError],
    ['no whole number of rows', {shape: [1.5, 4]}, ConfigError],
    ['more weights than there is memory', {shape: [2 ** 20, 2 ** 20]}, ConfigError],
    ['a shape of other size', {shape: [3, 3]}, ShapeError],
    ['another width', {bits: 5}, ConfigError],
    ['codes that are too large', {bits: 3}, ConfigError],
    ['other values', {values: 'float'}, ConfigError],
    ['halves of 4 bits', {values: 'f16'}, ConfigError],
    ['a codebook without its entries', {values: 'codebook'}, ConfigError],
    ['entries without a codebook', {codebook: units(16)}, ConfigError],
    ['too few entries', {values: 'codebook', codebook: units(15)}, ShapeError],
    ['no group', {group: 0}, ConfigError],
    ['other columns of units', {unitColumns: 3}, ConfigError],
    ['too few scales', {scale: units(1)}, ShapeError],
    ['too many scales', {group: 2, scale: units(5)}, ShapeError],
    ['scales of another type', {scale: [1, 1]}, ConfigError],
    ['scales that are no numbers', {scale: units(2).fill(Number.NaN)}, ConfigError],
    ['halves that are no numbers', {scale: {halves: Uint16Array.of(0x7c00, 1)}}, ConfigError],
    ['too many zeros', {zeros: new Uint8Array(3)}, ShapeError],
    ['zeros that are too large', {zeros: Uint8Array.of(16, 1)}, ConfigError],
    ['two zero points', {zero: 1, zeros: new Uint8Array(2)}, ConfigError],
    ['a zero point and an offset', {zero: 1, offset: units(2)}, ConfigError],
    ['a broken zero point', {zero: 0.5}, ConfigError],
  ];

  it.each(wrong)('is refused for %s', (_, changes, error) => {
    const codes = Uint8Array.of(1, 9, 2, 8, 3, 7);
    expect(() => packData(codes, {...spec, ...changes})).toThrow(error);
  });

  it('is refused where bytes are missing or left over', () => {
    const data = packData(new Uint8Array(6), {...spec, zeros: new Uint8Array(2)});
    for (const by of [-1, 1, 8]) {
      expect(() => packedFrom({...data, codes: new Uint8Array(8 + by)})).toThrow(ShapeError);
      expect(() => unpackData({...data, zeros: new Uint8Array(8 + by)})).toThrow(ShapeError);
    }
  });
});

describe('halves', () => {
  it('come back to the bit, all of them', () => {
    for (const [format, infinite] of [
      ['f16', 0x7c00],
      ['bf16', 0x7f80],
    ] as const) {
      const bits = Uint16Array.from({length: 2 * infinite}, (_, i) =>
        i < infinite ? i : 0x8000 + i - infinite,
      );
      expect(toHalves(fromHalves(bits, format), format)).toEqual(bits);
    }
  });

  it('are rounded to the nearest, ties to even', () => {
    const step = 2 ** -10;
    expect([...toHalves([1 + 0.5 * step, 1 + 1.5 * step, 1 + 0.51 * step, -1], 'f16')]).toEqual([
      0x3c00, 0x3c02, 0x3c01, 0xbc00,
    ]);
    expect([...toHalves([2 ** -25, 1.5 * 2 ** -24, 65504, 65519, 65520, 1e30], 'f16')]).toEqual([
      0, 2, 0x7bff, 0x7bff, 0x7c00, 0x7c00,
    ]);
    expect([...toHalves([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], 'bf16')]).toEqual([
      0x7f80, 0xff80,
    ]);
    expect(toHalves([Number.NaN], 'f16')[0]! & 0x7fff).toBeGreaterThan(0x7c00);
    const single = new Float32Array([Math.PI]);
    expect(toHalves(single, 'bf16')[0]).toBe(new Uint32Array(single.buffer)[0]! >>> 16);
  });
});
