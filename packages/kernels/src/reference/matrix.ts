/** A row-major float64 matrix. */
export interface Matrix {
  rows: number;
  columns: number;
  data: Float64Array;
}

/**
 * A float64 matrix from row-major data.
 *
 * @example
 * ```ts
 * import {matrix} from '@tfjs-peft/kernels/reference';
 *
 * const m = matrix(2, 2, [1, 2, 3, 4]);
 * ```
 */
export function matrix(rows: number, columns: number, data: ArrayLike<number>): Matrix {
  return {rows, columns, data: Float64Array.from(data)};
}

/**
 * A matrix of zeros.
 *
 * @example
 * ```ts
 * import {zeros} from '@tfjs-peft/kernels/reference';
 *
 * const m = zeros(2, 3);
 * ```
 */
export function zeros(rows: number, columns: number): Matrix {
  return {rows, columns, data: new Float64Array(rows * columns)};
}

/**
 * Elementwise, by position: `value(row, column)`.
 *
 * @example
 * ```ts
 * import {generate} from '@tfjs-peft/kernels/reference';
 *
 * const identity = generate(3, 3, (row, column) => (row === column ? 1 : 0));
 * ```
 */
export function generate(
  rows: number,
  columns: number,
  value: (row: number, column: number) => number,
): Matrix {
  const result = zeros(rows, columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result.data[i * columns + j] = value(i, j);
  return result;
}

/**
 * The element in a row and column.
 *
 * @example
 * ```ts
 * import {at, matrix} from '@tfjs-peft/kernels/reference';
 *
 * const corner = at(matrix(2, 2, [1, 2, 3, 4]), 1, 1); // 4
 * ```
 */
export function at(m: Matrix, row: number, column: number): number {
  return m.data[row * m.columns + column]!;
}

/**
 * The transpose of a matrix.
 *
 * @example
 * ```ts
 * import {matrix, transpose} from '@tfjs-peft/kernels/reference';
 *
 * const t = transpose(matrix(1, 2, [1, 2])); // 2 rows
 * ```
 */
export function transpose(m: Matrix): Matrix {
  return generate(m.columns, m.rows, (i, j) => at(m, j, i));
}

/**
 * a · b, with either operand transposed on request.
 *
 * @example
 * ```ts
 * import {matMulReference, matrix} from '@tfjs-peft/kernels/reference';
 *
 * const product = matMulReference(matrix(1, 2, [1, 2]), matrix(2, 1, [3, 4])); // 11
 * ```
 */
export function matMulReference(a: Matrix, b: Matrix, transposeA = false, transposeB = false): Matrix {
  const left = transposeA ? transpose(a) : a;
  const right = transposeB ? transpose(b) : b;
  return generate(left.rows, right.columns, (i, j) => {
    let sum = 0;
    for (let k = 0; k < left.columns; k++) sum += at(left, i, k) * at(right, k, j);
    return sum;
  });
}
