import {uniformNumbers} from '@tfjs-peft/kernels';

/** Standard normal numbers, as float32. */
export function normals(length: number, seed: number): Float32Array {
  const next = uniformNumbers(seed);
  return Float32Array.from({length}, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - next()));
    return radius * Math.cos(2 * Math.PI * next());
  });
}

/**
 * Weights as layers have them: normal, each channel of a size of its own, with some that are one-sided,
 * constant or 0.
 */
export function channels([rows, columns]: readonly [number, number], seed: number): Float32Array {
  const weights = normals(rows * columns, seed);
  return weights.map((weight, at) => {
    const column = at % columns;
    if (column % 7 === 4) return 0.5 + 0.1 * Math.abs(weight);
    if (column % 7 === 5) return -0.3;
    if (column % 7 === 6) return 0;
    return weight * 0.02 * (1 + column);
  });
}

/** Means of squares of a difference. */
export function meanSquare(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum / a.length;
}
