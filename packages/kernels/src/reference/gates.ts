import {at, generate, type Matrix, matMulReference} from './matrix.js';

function softmax(logits: Matrix): Matrix {
  const rows = Array.from({length: logits.rows}, (_, i) => {
    const row = logits.data.slice(i * logits.columns, (i + 1) * logits.columns);
    const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const powers = row.map((value) => Math.exp(value - largest));
    const total = powers.reduce((sum, value) => sum + value, 0);
    return powers.map((value) => value / total);
  });
  return generate(logits.rows, logits.columns, (i, j) => rows[i]![j]!);
}

/**
 * softmax(x R / temperature), in float64.
 *
 * @example
 * ```ts
 * import {matrix, softmaxGatesReference} from '@tfjs-peft/kernels/reference';
 *
 * const gates = softmaxGatesReference(matrix(1, 1, [1]), matrix(1, 2, [0, 0]), 1); // [0.5, 0.5]
 * ```
 */
export function softmaxGatesReference(x: Matrix, kernel: Matrix, temperature: number): Matrix {
  const logits = matMulReference(x, kernel);
  return softmax(generate(logits.rows, logits.columns, (i, j) => at(logits, i, j) / temperature));
}

function normalized(stream: Matrix, floor: number): Matrix {
  return generate(stream.rows, stream.columns, (i, j) => {
    const row = stream.data.subarray(i * stream.columns, (i + 1) * stream.columns);
    return at(stream, i, j) / row.reduce((largest, value) => Math.max(largest, Math.abs(value)), floor);
  });
}

/**
 * LiME's probabilities of two streams and Auto Top-K's gates of them, in float64; `selected` where a gate is
 * kept, if not by theta.
 *
 * @example
 * ```ts
 * import {matrix, streamGatesReference} from '@tfjs-peft/kernels/reference';
 *
 * const [a, b] = [matrix(1, 2, [1, 2]), matrix(1, 2, [3, 1])];
 * const {gates} = streamGatesReference(a, b, {weights: [0.6, 1.4], theta: 0.7, floor: 1e-6});
 * ```
 */
export function streamGatesReference(
  a: Matrix,
  b: Matrix,
  {weights, theta, floor}: {weights: [number, number]; theta: number | null; floor: number},
  selected?: (row: number, column: number) => boolean,
): {p: Matrix; gates: Matrix} {
  const [left, right] = [normalized(a, floor), normalized(b, floor)];
  const p = softmax(
    generate(a.rows, a.columns, (i, j) => weights[0] * at(left, i, j) + weights[1] * at(right, i, j)),
  );
  if (theta === null) return {p, gates: p};
  const rowOf = (i: number): Float64Array => p.data.subarray(i * p.columns, (i + 1) * p.columns);
  const keeps = selected ?? ((i: number, j: number) => at(p, i, j) >= theta * Math.max(...rowOf(i)));
  const gates = generate(p.rows, p.columns, (i, j) => {
    if (!keeps(i, j)) return 0;
    const total = rowOf(i).reduce((sum, value, column) => sum + (keeps(i, column) ? value : 0), 0);
    return at(p, i, j) / total;
  });
  return {p, gates};
}
