import {block} from './block';
import {packPanel, packPanelTransposed, transpose} from './pack';
import {storeTile, TILE} from './tile';

/** Bytes of scratch that `gemm` needs. */
export function gemmScratch(m: i32, k: i32, transposeA: bool): usize {
  return TILE + (<usize>k << 5) + (transposeA ? <usize>m * <usize>k * 4 : 0);
}

/**
 * out[batch, m, n] = A · B for row-major float32 matrices. A is [m, k], or [k, m] with transposeA; B is [k, n] with rows `ldb`
 * floats apart, or [n, k] with transposeB. `strideA` and `strideB` are the bytes from one batch's matrix to the next, 0 to
 * share one.
 */
export function gemm(
  a: usize, b: usize, out: usize,
  batch: i32, m: i32, n: i32, k: i32,
  strideA: usize, strideB: usize, ldb: i32,
  transposeA: bool, transposeB: bool,
  scratch: usize,
): void {
  const panel = scratch + TILE;
  const aT = panel + (<usize>k << 5);
  const bytesOut = <usize>m * <usize>n * 4;
  const rowB = <usize>ldb << 2;
  const rowA = <usize>k << 2;
  for (; batch > 0; --batch) {
    let rows = a;
    if (transposeA) {
      // A vector is its own transpose.
      if (m > 1 && k > 1) {
        transpose(a, <usize>m << 2, k, m, aT, rowA);
        rows = aT;
      }
    }
    for (let j = 0; j < n; j += 8) {
      const columns = n - j;
      let q = panel;
      let ldq: usize = 32;
      if (transposeB) {
        packPanelTransposed(b + <usize>j * rowB, rowB, k, columns, panel);
      } else if (columns >= 8 && m <= 4) {
        q = b + (<usize>j << 2);
        ldq = rowB;
      } else {
        packPanel(b + (<usize>j << 2), rowB, k, columns, panel);
      }
      panelProduct(rows, rowA, m, k, q, ldq, out + (<usize>j << 2), <usize>n << 2, columns, scratch);
    }
    a += strideA;
    b += strideB;
    out += bytesOut;
  }
}

/** One panel of 8 (or fewer) columns of the output. */
function panelProduct(
  a: usize, lda: usize, m: i32, k: i32, q: usize, ldq: usize,
  out: usize, ldo: usize, columns: i32, tile: usize,
): void {
  let i = 0;
  if (columns >= 8) {
    for (; i + 4 <= m; i += 4) {
      block(4, a, lda, k, q, ldq, 0, 0, 0, 0, 0, out, ldo);
      a += 4 * lda;
      out += 4 * ldo;
    }
  }
  for (; i < m; i += 4) {
    const rows = min(m - i, 4);
    block(rows, a, lda, k, q, ldq, 0, 0, 0, 0, 0, tile, 32);
    storeTile(tile, out, ldo, rows, columns);
    a += 4 * lda;
    out += 4 * ldo;
  }
}
