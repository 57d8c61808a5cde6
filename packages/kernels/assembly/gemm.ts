import {block2x16, block4x8, WIDE, WIDE_ROW} from './block';
import {packPanel, packPanelTransposed, transpose} from './pack';
import {copyRows, TILE} from './tile';
import {rowProducts, rowSum} from './vector';

/** Columns of the narrow tile, and bytes of a row of it. */
const NARROW = 8;
const NARROW_ROW: usize = 32;

/** Bytes of scratch that `gemm` needs. */
export function gemmScratch(m: i32, k: i32, transposeA: bool): usize {
  return TILE + <usize>k * WIDE_ROW + (transposeA ? <usize>m * <usize>k * 4 : 0);
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
  const aT = scratch + TILE + <usize>k * WIDE_ROW;
  const rowA = <usize>(transposeA ? m : k) << 2;
  const rowB = <usize>ldb << 2;
  // Whether B is one column that lies in memory as a vector, and A one row.
  const column = n == 1 && (transposeB || ldb == 1);
  for (; batch > 0; --batch) {
    if (column && transposeA) {
      rowSum(b, a, rowA, k, m, out);
    } else if (column) {
      rowProducts(a, rowA, m, k, b, out);
    } else if (m == 1 && transposeB) {
      rowProducts(b, rowB, n, k, a, out);
    } else if (m == 1) {
      rowSum(a, b, rowB, k, n, out);
    } else {
      let rows = a;
      if (transposeA) {
        transpose(a, rowA, k, m, aT, <usize>k << 2);
        rows = aT;
      }
      product(rows, b, out, m, n, k, rowB, transposeB, scratch);
    }
    a += strideA;
    b += strideB;
    out += <usize>m * <usize>n * 4;
  }
}

function product(
  a: usize, b: usize, out: usize, m: i32, n: i32, k: i32, rowB: usize, transposeB: bool, scratch: usize,
): void {
  const panel = scratch + TILE;
  for (let j = 0; j < n; ) {
    const columns = n - j;
    const width = columns > NARROW ? WIDE : NARROW;
    let q = panel;
    let ldq = <usize>width << 2;
    if (transposeB) {
      packPanelTransposed(b + <usize>j * rowB, rowB, k, columns, width, panel);
    } else if (columns >= width && m <= 4) {
      // One row of tiles: packing would be a pass of its own.
      q = b + (<usize>j << 2);
      ldq = rowB;
    } else {
      packPanel(b + (<usize>j << 2), rowB, k, columns, width, panel);
    }
    const to = out + (<usize>j << 2);
    if (width == WIDE) wideColumns(a, m, k, q, ldq, to, <usize>n << 2, columns, scratch);
    else narrowColumns(a, m, k, q, ldq, to, <usize>n << 2, columns, scratch);
    j += width;
  }
}

/** 16 columns of the output, or what there is of them. */
function wideColumns(
  a: usize, m: i32, k: i32, q: usize, ldq: usize, out: usize, ldo: usize, columns: i32, tile: usize,
): void {
  const lda = <usize>k << 2;
  for (; m > 0; m -= 2) {
    if (columns >= WIDE && m >= 2) {
      block2x16(2, a, lda, k, q, ldq, 0, 0, 0, 0, 0, out, ldo);
    } else {
      block2x16(m, a, lda, k, q, ldq, 0, 0, 0, 0, 0, tile, WIDE_ROW);
      copyRows(tile, WIDE_ROW, out, ldo, min(m, 2), columns);
    }
    a += 2 * lda;
    out += 2 * ldo;
  }
}

/** 8 columns of the output, or what there is of them. */
function narrowColumns(
  a: usize, m: i32, k: i32, q: usize, ldq: usize, out: usize, ldo: usize, columns: i32, tile: usize,
): void {
  const lda = <usize>k << 2;
  for (; m > 0; m -= 4) {
    if (columns >= NARROW && m >= 4) {
      block4x8(4, a, lda, k, q, ldq, out, ldo);
    } else {
      block4x8(m, a, lda, k, q, ldq, tile, NARROW_ROW);
      copyRows(tile, NARROW_ROW, out, ldo, min(m, 4), min(columns, NARROW));
    }
    a += 4 * lda;
    out += 4 * ldo;
  }
}
