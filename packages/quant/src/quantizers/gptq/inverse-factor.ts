/**
 * The upper triangular U with U^T U = H^-1, of a symmetric positive definite H, in float64: the Cholesky
 * factor of the inverse that GPTQ reads its updates from. H = V V^T with V upper triangular, and U = V^-1, so
 * H itself is never inverted.
 *
 * @param matrix H, row-major [size · size].
 * @returns U, row-major, 0 below the diagonal; undefined if H is not positive definite.
 */
export function inverseFactor(matrix: Float64Array, size: number): Float64Array | undefined {
  const factor = new Float64Array(size * size);
  for (let j = size - 1; j >= 0; j--) {
    for (let i = j; i >= 0; i--) {
      let rest = matrix[i * size + j]!;
      for (let k = j + 1; k < size; k++) rest -= factor[i * size + k]! * factor[j * size + k]!;
      if (i < j) factor[i * size + j] = rest / factor[j * size + j]!;
      else if (rest > 0) factor[j * size + j] = Math.sqrt(rest);
      else return undefined;
    }
  }
  return invertUpper(factor, size);
}

/** The inverse of an upper triangular matrix, from its last row up. */
function invertUpper(upper: Float64Array, size: number): Float64Array {
  const inverse = new Float64Array(size * size);
  for (let i = size - 1; i >= 0; i--) {
    const row = i * size;
    const pivot = upper[row + i]!;
    inverse[row + i] = 1 / pivot;
    for (let k = i + 1; k < size; k++) {
      const share = -upper[row + k]! / pivot;
      const below = k * size;
      for (let j = k; j < size; j++) inverse[row + j]! += share * inverse[below + j]!;
    }
  }
  return inverse;
}
