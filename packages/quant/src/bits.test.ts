import fc from 'fast-check';
import {packBits, unpackBits} from './bits.js';

test('codes of any width come back from as few bytes as hold them', () => {
  const codes = fc
    .integer({min: 2, max: 8})
    .chain((bits) =>
      fc.record({bits: fc.constant(bits), codes: fc.array(fc.integer({min: 0, max: 2 ** bits - 1}))}),
    );
  fc.assert(
    fc.property(codes, ({bits, codes}) => {
      const bytes = packBits(codes, bits);
      expect(bytes.length).toBe(Math.ceil((codes.length * bits) / 8));
      expect([...unpackBits(bytes, bits, codes.length)]).toEqual(codes);
    }),
  );
});

test('the first code lies in the lowest bits', () => {
  expect([...packBits([1, 2, 3], 4)]).toEqual([0x21, 0x03]);
});

test('codes come back from beyond the bits that 32 bits can count', () => {
  const count = 2 ** 28 + 8;
  const packed = packBits(new Uint8Array(count).fill(7), 8);
  expect([...packed.subarray(-8)]).toEqual([7, 7, 7, 7, 7, 7, 7, 7]);
  expect([...unpackBits(packed, 8, count).subarray(-8)]).toEqual([7, 7, 7, 7, 7, 7, 7, 7]);
});
