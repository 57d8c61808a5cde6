import {fromHalves, type PackedCodes} from '@tfjs-peft/kernels';
import {dequantize, quantizationError, quantize} from '../index.js';
import {normals} from '../testing/numbers.js';

test('a range of 255 steps is exact, with zero on the grid', () => {
  const weights = Float32Array.from({length: 256}, (_, i) => (i - 100) / 64);
  const packed = quantize(weights, [256, 1], 'int8');
  expect(packed.scale).toEqual(Float32Array.of(1 / 64));
  expect(packed.zeros).toEqual(Uint8Array.of(100));
  expect([...packed.codes]).toEqual(Array.from({length: 256}, (_, i) => i));
  expect(dequantize(packed)).toEqual(weights);
});

test('one scale for each channel is the default', () => {
  const packed = quantize(normals(70 * 3, 2), [70, 3], 'int8');
  expect(packed).toMatchObject({bits: 8, group: 70, unitColumns: 3, values: 'integer'});
  expect(packed.scale).toHaveLength(3);
});

test('GGUF Q8_0: blocks of 32 signed bytes with a float16 scale are read without loss', () => {
  const quants = Int8Array.from({length: 64}, (_, i) => i * 4 - 128);
  const halves = Uint16Array.of(0x2e66, 0x1000);
  const scales = fromHalves(halves, 'f16');
  const packed: PackedCodes = {
    shape: [64, 1],
    bits: 8,
    values: 'integer',
    group: 32,
    unitColumns: 1,
    // The lowest code, -128, is one that quantize does not use.
    codes: Uint8Array.from(quants, (quant) => quant + 128),
    zero: 128,
    scale: {halves},
  };
  const want = Float32Array.from(quants, (quant, i) => quant * scales[Math.floor(i / 32)]!);
  expect(dequantize(packed)).toEqual(want);
  // And what quantize makes in this form has the same fields.
  const made = quantize(want, [64, 1], {type: 'int8', group: 32, symmetric: true, scales: 'f16'});
  expect(Object.keys(made).sort()).toEqual(Object.keys(packed).sort());
});

test.each(['paper', 'include-zero', 'free'] as const)(
  '8 bits, min-max, zero point %s: the whole range is within half a step, by floor within less than one',
  (zeroPoint) => {
    // MP-ISMoE's eqs 1 to 3. That z is clamped loses nothing where zero is in the range.
    for (const [low, high] of [
      [-0.7, 1.3],
      [-1, 0],
      [0, 2.5],
      [-0.001, 9],
    ] as const) {
      const weights = Float32Array.from({length: 10_001}, (_, i) => low + ((high - low) * i) / 10_000);
      const step = (high - low) / 255;
      for (const [rounding, steps] of [
        ['half-even', 0.5],
        ['half-up', 0.5],
        ['floor', 1],
      ] as const) {
        const packed = quantize(weights, [10_001, 1], {type: 'int8', zeroPoint, rounding});
        expect((packed.scale as Float32Array)[0]! / step).toBeCloseTo(1, 5);
        const {max} = quantizationError(weights, packed);
        // Beside the rounding of weights and products to float32.
        expect(max / step).toBeLessThanOrEqual(steps + 1e-4);
        expect(max / step).toBeGreaterThan(0.99 * steps);
      }
    }
  },
);

test('a one-sided channel keeps its precision unless the paper form is asked for', () => {
  const values = Float32Array.from({length: 50}, (_, i) => 0.5 + i * 0.002);
  const mse = (zeroPoint: 'include-zero' | 'free' | 'paper') =>
    quantizationError(values, quantize(values, [50, 1], {type: 'int8', zeroPoint})).mse;
  expect(mse('include-zero')).toBeLessThan(1e-6);
  expect(mse('free')).toBeLessThan(1e-7);
  expect(mse('paper')).toBeGreaterThan(0.1);
  const float = quantize(values, [50, 1], {type: 'int8', offset: 'float'});
  expect(quantizationError(values, float).mse).toBeLessThan(1e-7);
});

test('constant channels are exact or within half a step, and zero stays zero', () => {
  const values = [0, 0.3, -0.2, 0, 0.3, -0.2];
  for (const zeroPoint of ['include-zero', 'paper', 'free'] as const) {
    const decoded = dequantize(quantize(values, [2, 3], {type: 'int8', zeroPoint}));
    expect(decoded[0]).toBe(0);
    values.forEach((value, at) => {
      expect(decoded[at]).toBeCloseTo(value, 6);
    });
  }
  const float = dequantize(quantize(values, [2, 3], {type: 'int8', offset: 'float'}));
  expect(float).toEqual(Float32Array.from(values));
});
