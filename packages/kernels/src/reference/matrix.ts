/** A row-major float64 matrix. */
export interface Matrix {
  rows: number;
  columns: number;
  data: Float64Array;
}

export function matrix(rows: number, columns: number, data: ArrayLike<number>): Matrix {
  return {rows, columns, data: Float64Array.from(data)};
}

export function zeros(rows: number, columns: number): Matrix {
  return {rows, columns, data: new Float64Array(rows * columns)};
}

/** Elementwise, by position: `value(row, column)`. */
export function generate(
  rows: number,
  columns: number,
  value: (row: number, column: number) => number,
): Matrix {
  const result = zeros(rows, columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result.data[i * columns + j] = value(i, j);
  return result;
}

export function at(m: Matrix, row: number, column: number): number {
  return m.data[row * m.columns + column]!;
}

export function transpose(m: Matrix): Matrix {
  return generate(m.columns, m.rows, (i, j) => at(m, j, i));
}

/** a · b, with either operand transposed on request. */
export function matMulReference(a: Matrix, b: Matrix, transposeA = false, transposeB = false): Matrix {
  const left = transposeA ? transpose(a) : a;
  const right = transposeB ? transpose(b) : b;
  return generate(left.rows, right.columns, (i, j) => {
    let sum = 0;
    for (let k = 0; k < left.columns; k++) sum += at(left, i, k) * at(right, k, j);
    return sum;
  });
}
