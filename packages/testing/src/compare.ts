import type {Tensor} from '@tensorflow/tfjs-core';

/** The largest |got - want|. NaN and another number of values count as infinitely far. */
export function largestDifference(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < want.length; i++) {
    const off = Math.abs(got[i]! - want[i]!);
    largest = Number.isNaN(off) ? Number.POSITIVE_INFINITY : Math.max(largest, off);
  }
  return largest;
}

/** The largest |value|. */
export function magnitude(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]!));
  return largest;
}

/** max|got - want| / max(floor, max|want|). */
export function deviation(got: ArrayLike<number>, want: ArrayLike<number>, floor = 1): number {
  return largestDifference(got, want) / Math.max(floor, magnitude(want));
}

/** {@link largestDifference} of two tensors. NaN, which no comparison passes, if their shapes differ. */
export function tensorDifference(got: Tensor, want: Tensor): number {
  if (got.shape.join() !== want.shape.join()) return Number.NaN;
  return largestDifference(got.dataSync(), want.dataSync());
}

/** {@link deviation} of two tensors. NaN, which no comparison passes, if their shapes differ. */
export function tensorDeviation(got: Tensor, want: Tensor): number {
  if (got.shape.join() !== want.shape.join()) return Number.NaN;
  return deviation(got.dataSync(), want.dataSync());
}
