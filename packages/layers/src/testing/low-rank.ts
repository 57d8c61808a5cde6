import {type Matrix, product, zip} from './double.js';

/** W + scale · A B. */
export function changed(kernel: Matrix, a: Matrix, b: Matrix, scale: number): Matrix {
  return zip(kernel, product(a, b), (w, change) => w + scale * change);
}

/** The Euclidean norm of each column. */
export function norms(matrix: Matrix): number[] {
  return matrix[0]!.map((_, j) => Math.hypot(...matrix.map((row) => row[j]!)));
}
