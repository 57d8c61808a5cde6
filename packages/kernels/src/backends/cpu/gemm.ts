/**
 * c += a · b on row-major typed arrays, [m, k] · [k, n]. Four rows of a share each pass over a row of b, so
 * that b is read a quarter as often.
 */
export function gemm(
  a: Float32Array,
  b: Float32Array,
  c: Float32Array,
  m: number,
  n: number,
  k: number,
): void {
  let i = 0;
  for (; i + 4 <= m; i += 4) {
    const c0 = c.subarray(i * n, (i + 1) * n);
    const c1 = c.subarray((i + 1) * n, (i + 2) * n);
    const c2 = c.subarray((i + 2) * n, (i + 3) * n);
    const c3 = c.subarray((i + 3) * n, (i + 4) * n);
    for (let p = 0; p < k; p++) {
      const a0 = a[i * k + p]!;
      const a1 = a[(i + 1) * k + p]!;
      const a2 = a[(i + 2) * k + p]!;
      const a3 = a[(i + 3) * k + p]!;
      const row = p * n;
      for (let j = 0; j < n; j++) {
        const value = b[row + j]!;
        c0[j]! += a0 * value;
        c1[j]! += a1 * value;
        c2[j]! += a2 * value;
        c3[j]! += a3 * value;
      }
    }
  }
  for (; i < m; i++) {
    const out = c.subarray(i * n, (i + 1) * n);
    for (let p = 0; p < k; p++) {
      const value = a[i * k + p]!;
      const row = p * n;
      for (let j = 0; j < n; j++) out[j]! += value * b[row + j]!;
    }
  }
}

const TILE = 32;

/** The transpose of a row-major [rows, columns] array, tile by tile so that both sides stay in cache. */
export function transposed(source: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(rows * columns);
  for (let i0 = 0; i0 < rows; i0 += TILE) {
    const i1 = Math.min(i0 + TILE, rows);
    for (let j0 = 0; j0 < columns; j0 += TILE) {
      const j1 = Math.min(j0 + TILE, columns);
      for (let i = i0; i < i1; i++)
        for (let j = j0; j < j1; j++) result[j * rows + i] = source[i * columns + j]!;
    }
  }
  return result;
}

/** op(a) · op(b) as a new array [m, n], where op transposes on request and k is the inner size. */
export function multiply(
  a: Float32Array,
  b: Float32Array,
  {m, n, k}: {m: number; n: number; k: number},
  transposeA = false,
  transposeB = false,
): Float32Array {
  const c = new Float32Array(m * n);
  gemm(transposeA ? transposed(a, k, m) : a, transposeB ? transposed(b, n, k) : b, c, m, n, k);
  return c;
}
