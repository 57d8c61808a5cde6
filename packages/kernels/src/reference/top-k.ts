import {at, generate, type Matrix} from './matrix.js';

/**
 * `topKGates` in float64; `keptOf` says by whose order entries are kept, if not by p's own.
 *
 * @example
 * ```ts
 * import {matrix, topKReference} from '@tfjs-peft/kernels/reference';
 *
 * const kept = topKReference(matrix(1, 3, [0.2, 0.5, 0.3]), {k: 2, renormalize: false});
 * ```
 */
export function topKReference(
  p: Matrix,
  {k, renormalize}: {k: number; renormalize: boolean},
  keptOf: Matrix = p,
): Matrix {
  const ahead = (i: number, j: number, other: number): boolean => {
    const [own, value] = [at(keptOf, i, j), at(keptOf, i, other)];
    return value > own || (value === own && other < j);
  };
  const columns = Array.from({length: p.columns}, (_, column) => column);
  const keeps = (i: number, j: number): boolean => columns.filter((other) => ahead(i, j, other)).length < k;
  return generate(p.rows, p.columns, (i, j) => {
    if (!keeps(i, j)) return 0;
    if (!renormalize) return at(p, i, j);
    return at(p, i, j) / columns.reduce((sum, column) => sum + (keeps(i, column) ? at(p, i, column) : 0), 0);
  });
}
