import {at, generate, type Matrix} from './matrix.js';

/**
 * Layer normalization of x's rows (Ba, Kiros & Hinton 2016, equation 4), in float64.
 *
 * @example
 * ```ts
 * import {layerNormReference, matrix} from '@tfjs-peft/kernels/reference';
 *
 * const y = layerNormReference(matrix(1, 2, [1, 3]), {epsilon: 1e-3});
 * ```
 */
export function layerNormReference(
  x: Matrix,
  {gamma, beta, epsilon}: {gamma?: Float64Array; beta?: Float64Array; epsilon: number},
): Matrix {
  const moments = Array.from({length: x.rows}, (_, i) => {
    const row = x.data.subarray(i * x.columns, (i + 1) * x.columns);
    const mean = row.reduce((sum, value) => sum + value, 0) / x.columns;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.columns;
    return {mean, deviation: Math.sqrt(variance + epsilon)};
  });
  return generate(x.rows, x.columns, (i, j) => {
    const {mean, deviation} = moments[i]!;
    return ((at(x, i, j) - mean) / deviation) * (gamma?.[j] ?? 1) + (beta?.[j] ?? 0);
  });
}
