import fc from 'fast-check';
import {fitsSketch, sketchOf} from './sketch.js';

/**
 * A value as a half: to the nearest, or towards zero as some GPUs round; what is too
 * small is kept, or flushed to zero.
 */
function half(value: number, {nearest, flush}: {nearest: boolean; flush: boolean}): number {
  const size = Math.abs(value);
  if (size >= 65520) return Math.sign(value) * Number.POSITIVE_INFINITY;
  if (size < 2 ** -14 && flush) return 0;
  const step = 2 ** (Math.max(Math.floor(Math.log2(size || 1e-9)), -14) - 10);
  const rounded = nearest ? Math.round(size / step) : Math.floor(size / step);
  return Math.sign(value) * rounded * step;
}

const ways = [true, false].flatMap((nearest) => [true, false].map((flush) => ({nearest, flush})));

/** Numbers as a normal distribution gives them, by a seed. */
function normal(length: number, seed: number, size = 1): Float32Array {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from(
    {length},
    () => size * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

describe.each(ways)('rounded to halves (%j)', (way) => {
  it.each([0, 1, 3, 17, 64, 1000, 200_000])('%d values are known again, whatever their size', (length) => {
    for (const size of [1e-6, 1e-3, 0.05, 1, 1e4]) {
      const values = normal(length, length + 1, size);
      const rounded = values.map((value) => half(value, way));
      expect(fitsSketch(rounded, sketchOf(values))).toBe(true);
      expect(fitsSketch(values, sketchOf(rounded))).toBe(true);
    }
  });

  it.each([3, 17, 64, 1000, 200_000])('%d other values are told apart', (length) => {
    for (const size of [0.05, 1, 100]) {
      const values = normal(length, length + 1, size);
      const sketch = sketchOf(values.map((value) => half(value, way)));
      const others = [
        normal(length, length + 2, size),
        values.map((value) => value * 1.05),
        values.map((value) => -value),
        Float32Array.from(values).reverse(),
        values.map((value, i) => value + 0.05 * normal(1, i + 1, size)[0]!),
      ];
      for (const other of others) expect(fitsSketch(other, sketch)).toBe(false);
    }
  });

  it('any floats are known again', () => {
    const floats = fc.float32Array({maxLength: 40, noNaN: true});
    fc.assert(
      fc.property(floats, (values) =>
        fitsSketch(
          values.map((value) => half(value, way)),
          sketchOf(values),
        ),
      ),
    );
  });
});

it('the position of a value matters', () => {
  const values = normal(64, 5);
  const swapped = Float32Array.from(values);
  [swapped[3], swapped[40]] = [swapped[40]!, swapped[3]!];
  expect(fitsSketch(swapped, sketchOf(values))).toBe(false);
});
