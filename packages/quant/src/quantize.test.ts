import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import fc from 'fast-check';
import {
  dequantize,
  packedBytes,
  type QuantizeOptions,
  quantizationError,
  quantize,
  unitAt,
  unitsOf,
  unpackCodes,
} from './index.js';

const matrix = fc
  .record({rows: fc.integer({min: 1, max: 19}), columns: fc.integer({min: 1, max: 5})})
  .chain(({rows, columns}) =>
    fc.record({
      shape: fc.constant([rows, columns] as const),
      values: fc.array(fc.float({noNaN: true, min: -8, max: 8}), {
        minLength: rows * columns,
        maxLength: rows * columns,
      }),
    }),
  );

const options: fc.Arbitrary<QuantizeOptions> = fc.record({
  bits: fc.integer({min: 2, max: 8}),
  symmetric: fc.boolean(),
  granularity: fc.oneof(
    fc.constantFrom('tensor' as const, 'channel' as const),
    fc.integer({min: 1, max: 20}).map((group) => ({group})),
  ),
  rounding: fc.constantFrom('half-even' as const, 'half-up' as const),
});

test('every weight is within half a step of its decoded value', () => {
  fc.assert(
    fc.property(matrix, options, ({shape, values}, config) => {
      const packed = quantize(values, shape, config);
      const decoded = dequantize(packed);
      const units = unitsOf(shape, packed.group);
      values.forEach((value, at) => {
        const scale = packed.scale[unitAt(units, Math.floor(at / shape[1]), at % shape[1])]!;
        expect(Math.abs(value - decoded[at]!)).toBeLessThanOrEqual(
          scale / 2 + 1e-6 * Math.abs(value) + 1e-37,
        );
      });
    }),
    {numRuns: 300},
  );
});

test('the floor of the paper stays within one step, and loses the half that rounding keeps', () => {
  const values = Float32Array.from({length: 64}, (_, i) => Math.sin(i * 1.7));
  const nearest = quantize(values, [64, 1], {bits: 4});
  const floor = quantize(values, [64, 1], {bits: 4, rounding: 'floor'});
  expect(quantizationError(values, floor).max).toBeLessThan(floor.scale[0]! * 1.0001);
  expect(quantizationError(values, floor).mse).toBeGreaterThan(2 * quantizationError(values, nearest).mse);
});

test('more bits and finer groups never cost accuracy on this matrix', () => {
  const values = Float32Array.from({length: 256}, (_, i) => Math.sin(i * 2.3) * (1 + (i % 16)));
  const mse = (config: QuantizeOptions) => quantizationError(values, quantize(values, [16, 16], config)).mse;
  const byBits = [2, 3, 4, 6, 8].map((bits) => mse({bits}));
  expect([...byBits].sort((a, b) => b - a)).toEqual(byBits);
  expect(mse({bits: 4, granularity: 'channel'})).toBeLessThan(mse({bits: 4, granularity: 'tensor'}));
  expect(mse({bits: 4, granularity: {group: 4}})).toBeLessThan(mse({bits: 4, granularity: 'channel'}));
});

test('codes take the bits that they claim', () => {
  const packed = quantize(new Float32Array(30 * 7).fill(0.1), [30, 7], {bits: 3, granularity: {group: 8}});
  expect(packed.data.length).toBe(Math.ceil((30 * 7 * 3) / 8));
  expect(packed.scale.length).toBe(4 * 7);
  expect(packedBytes(packed)).toBe(79 + 28 * 4 * 2);
  expect(unpackCodes(packed).length).toBe(210);
});

test('a one-sided channel keeps its precision unless the paper form is asked for', () => {
  const values = Float32Array.from({length: 50}, (_, i) => 0.5 + i * 0.002);
  const mse = (zeroPoint: QuantizeOptions['zeroPoint']) =>
    quantizationError(values, quantize(values, [50, 1], {zeroPoint})).mse;
  expect(mse('include-zero')).toBeLessThan(1e-6);
  expect(mse('free')).toBeLessThan(1e-7);
  expect(mse('paper')).toBeGreaterThan(0.1);
});

test('constant units are exact or within half a step, and zero stays zero', () => {
  const values = [0, 0.3, -0.2, 0, 0.3, -0.2];
  for (const zeroPoint of ['include-zero', 'paper', 'free'] as const) {
    const decoded = dequantize(quantize(values, [2, 3], {zeroPoint}));
    expect(decoded[0]).toBe(0);
    for (let at = 0; at < 6; at++) expect(decoded[at]).toBeCloseTo(values[at]!, 6);
  }
});

test.each<[string, QuantizeOptions, RegExp]>([
  ['bits out of range', {bits: 9}, /bits is 9.*2 to 8/],
  ['fractional bits', {bits: 2.5}, /bits is 2.5/],
  ['an unknown option', {bit: 8} as QuantizeOptions, /unknown option 'bit'.*use one of: bits/],
  ['an unknown granularity', {granularity: 'row' as 'tensor'}, /granularity is 'row'/],
  ['a group of nothing', {granularity: {group: 0}}, /granularity is \{group: 0\}/],
  ['an unknown rounding', {rounding: 'toString' as 'floor'}, /rounding is 'toString'.*half-even/],
  ['symmetric floor', {rounding: 'floor', symmetric: true}, /'floor' is not defined for symmetric grids/],
  ['an unknown zero point', {zeroPoint: 'x' as 'free'}, /zeroPoint is 'x'.*include-zero/],
])('%s is refused', (_name, config, message) => {
  const attempt = () => quantize([1, 2], [2, 1], config);
  expect(attempt).toThrow(ConfigError);
  expect(attempt).toThrow(message);
});

test('weights that are not finite, or do not fill the shape, are refused by place', () => {
  expect(() => quantize([1, 2, 3, Number.NaN], [2, 2])).toThrow(/weight \(1, 1\) is NaN/);
  expect(() => quantize([1, Number.NEGATIVE_INFINITY], [1, 2])).toThrow(ConfigError);
  expect(() => quantize([1, 2, 3], [2, 2])).toThrow(ShapeError);
  expect(() => quantizationError([1], quantize([1, 2], [2, 1]))).toThrow(ShapeError);
});
