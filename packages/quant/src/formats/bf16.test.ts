import {dequantize, quantize} from '../index.js';
import {normals} from '../testing/numbers.js';

test('numbers whose lower half is 0 are themselves, with no scale', () => {
  const weights = new Float32Array(Uint32Array.of(0x3f800000, 0xc0490000, 0x00010000, 0x7e7f0000, 0).buffer);
  const packed = quantize(weights, [5, 1], 'bf16');
  expect(packed).toMatchObject({bits: 16, values: 'bf16'});
  expect([...packed.codes]).toEqual([0x3f80, 0xc049, 0x0001, 0x7e7f, 0]);
  expect(packed.scale).toBeUndefined();
  expect(dequantize(packed)).toEqual(weights);
});

test('weights of all sizes are within 2^-8 of their power of two', () => {
  const weights = normals(999, 1).map((weight, i) => weight * 10 ** ((i % 60) - 30));
  dequantize(quantize(weights, [333, 3], 'bf16')).forEach((value, at) => {
    const size = Math.abs(weights[at]!);
    expect(Math.abs(value - weights[at]!)).toBeLessThanOrEqual(2 ** (Math.floor(Math.log2(size)) - 8));
  });
});

test('ties go to the even one', () => {
  const weights = new Float32Array(Uint32Array.of(0x3f808000, 0x3f818000, 0x3f808001).buffer);
  expect([...quantize(weights, [3, 1], 'bf16').codes]).toEqual([0x3f80, 0x3f82, 0x3f81]);
});
