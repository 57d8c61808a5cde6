import type {Matrix} from './matrix.js';

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/**
 * `blendGates` in float64; `share` and `gate` are 1 × 1.
 *
 * @example
 * ```ts
 * import {blendReference, matrix} from '@tfjs-peft/kernels/reference';
 *
 * const [share, gate] = [matrix(1, 1, [0]), matrix(1, 1, [0])];
 * const attrs = {rows: 1, slope: 1, tokenFactor: 1, sampleFactor: 1};
 * const gates = blendReference({token: matrix(1, 2, [0.5, 0.5]), share, gate}, attrs);
 * ```
 */
export function blendReference(
  {token, sample, share, gate}: {token?: Matrix; sample?: Matrix; share: Matrix; gate: Matrix},
  {
    rows,
    slope,
    tokenFactor,
    sampleFactor,
  }: {rows: number; slope: number; tokenFactor: number; sampleFactor: number},
): Matrix {
  const {columns} = (token ?? sample)!;
  const [s, g] = [sigmoid(slope * share.data[0]!), sigmoid(slope * gate.data[0]!)];
  const data = new Float64Array(rows * columns);
  for (let i = 0; i < data.length; i++) {
    const row = Math.floor(i / columns);
    let sum = 0;
    if (token !== undefined) sum += s * tokenFactor * token.data[i]!;
    if (sample !== undefined) {
      const of = Math.floor(row / (rows / sample.rows));
      sum += (1 - s) * sampleFactor * sample.data[of * columns + (i % columns)]!;
    }
    data[i] = g * sum;
  }
  return {rows, columns, data};
}
