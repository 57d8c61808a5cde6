import {dequantize, quantizationError, quantize} from '../index.js';
import {normals} from '../testing/numbers.js';

test('four codes, of which a symmetric grid uses three', () => {
  const symmetric = quantize([-2, -1.1, 0.9, 0, 2], [5, 1], {type: 'int2', symmetric: true});
  expect([...symmetric.codes]).toEqual([1, 1, 2, 2, 3]);
  expect([...dequantize(symmetric)]).toEqual([-2, -2, 0, 0, 2]);
  const offset = quantize([5, 5.9, 7.2, 8], [4, 1], {type: 'int2', offset: 'float'});
  expect([...offset.codes]).toEqual([0, 1, 2, 3]);
  expect([...dequantize(offset)]).toEqual([5, 6, 7, 8]);
  expect(offset.offset).toEqual(Float32Array.of(5));
});

test('a float offset halves the error of one-sided groups, where an integer zero point spends codes on zero', () => {
  const weights = normals(64 * 8, 4).map((weight) => 1 + 0.2 * weight);
  const mse = (offset: 'integer' | 'float') =>
    quantizationError(weights, quantize(weights, [64, 8], {type: 'int2', offset})).mse;
  expect(mse('float')).toBeLessThan(0.5 * mse('integer'));
});

test('the floor of the paper stays within one step, and loses the half that rounding keeps', () => {
  const weights = Float32Array.from({length: 64}, (_, i) => Math.sin(i * 1.7));
  const error = (rounding: 'floor' | 'half-even') => {
    const packed = quantize(weights, [64, 1], {type: 'int2', group: 'channel', rounding});
    return {...quantizationError(weights, packed), step: (packed.scale as Float32Array)[0]!};
  };
  const [floor, nearest] = [error('floor'), error('half-even')];
  expect(floor.max).toBeLessThan(floor.step * 1.0001);
  expect(nearest.max).toBeLessThan(nearest.step * 0.5001);
  expect(floor.mse).toBeGreaterThan(2 * nearest.mse);
});
