/** The largest float16. */
export const LARGEST_HALF = 65504;

/** The smallest float16 that is not below a number; infinite above {@link LARGEST_HALF}. */
export function halfAbove(value: number): number {
  const step = 2 ** (Math.max(exponentOf(Math.abs(value)), -14) - 10);
  const half = Math.ceil(value / step) * step;
  return half > LARGEST_HALF ? Number.POSITIVE_INFINITY : half;
}

/** The largest float16 that is not above a number; infinite below -{@link LARGEST_HALF}. */
export function halfBelow(value: number): number {
  return -halfAbove(-value);
}

function exponentOf(size: number): number {
  const guess = Math.floor(Math.log2(size));
  // log2 rounds: next to a power of two it may be off by one.
  if (size < 2 ** guess) return guess - 1;
  return size >= 2 ** (guess + 1) ? guess + 1 : guess;
}
