import {ConfigError, fromHalves} from '@tfjs-peft/kernels';
import {dequantize, quantize} from '../index.js';
import {normals} from '../testing/numbers.js';

test('every float16 is itself, and has no scale', () => {
  const halves = Uint16Array.from({length: 0x7c00}, (_, bits) => bits);
  const packed = quantize(fromHalves(halves, 'f16'), [0x7c00, 1], 'f16');
  expect(packed).toEqual({
    ...{shape: [0x7c00, 1], bits: 16, values: 'f16', group: 0x7c00, unitColumns: 1},
    codes: halves,
  });
});

test('weights are within 2^-11 of their size, or 2^-25', () => {
  const weights = normals(999, 1).map((weight, i) => weight * 10 ** ((i % 12) - 8));
  dequantize(quantize(weights, [333, 3], 'f16')).forEach((value, at) => {
    const size = Math.abs(weights[at]!);
    expect(Math.abs(value - weights[at]!)).toBeLessThanOrEqual(Math.max(size * 2 ** -11, 2 ** -25));
  });
});

test('what rounds to infinity is refused with the remedy', () => {
  expect([...dequantize(quantize([65519, -65504], [2, 1], 'f16'))]).toEqual([65504, -65504]);
  const attempt = () => quantize([1, -65520], [2, 1], 'f16');
  expect(attempt).toThrow(ConfigError);
  expect(attempt).toThrow(/a weight is -65520, which rounds to infinity.*'bf16'/);
});
