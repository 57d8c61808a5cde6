import {block2x16, block4x8, WIDE, WIDE_ROW} from './block';
import {fetch} from './fetch';
import {packPanel, packPanelTransposed, transpose} from './pack';
import {copyRows, TILE} from './tile';
import {rowProducts, rowSum} from './vector';

/** Columns of the narrow tile, and bytes of a row of it. */
const NARROW = 8;
const NARROW_ROW: usize = 32;

/** Bytes of several A and B that stay in the second-level cache until they are used. */
const AHEAD: usize = 524288;

/**
 * Whether A^T B is cheaper as the transpose of B^T A: then A, by far the
 * larger, is packed as it lies in memory.
 */
function swaps(m: i32, n: i32, k: i32): bool {
  return <f64>n * <f64>(k + m) < <f64>k * <f64>m;
}

/** Bytes of scratch that `gemm` needs. */
export function gemmScratch(m: i32, n: i32, k: i32, transposeA: bool): usize {
  const fixed = TILE + <usize>k * WIDE_ROW;
  if (!transposeA) return fixed;
  return fixed + (swaps(m, n, k) ? <usize>n * <usize>(k + m) : <usize>m * <usize>k) * 4;
}

/**
 * out[batch, m, n] = A · B for row-major float32 matrices. A is [m, k], or [k, m] with transposeA; B is [k,
 * n] with rows `ldb` floats apart, or [n, k] with transposeB. `strideA` and `strideB` are the bytes from one
 * batch's matrix to the next, 0 to share one.
 */
export function gemm(
  a: usize, b: usize, out: usize,
  batch: i32, m: i32, n: i32, k: i32,
  strideA: usize, strideB: usize, ldb: i32,
  transposeA: bool, transposeB: bool,
  scratch: usize,
): void {
  const rowA = <usize>(transposeA ? m : k) << 2;
  const rowB = <usize>ldb << 2;
  // Whether B is one column that lies in memory as a vector, and A one row.
  const column = n == 1 && (transposeB || ldb == 1);
  // So many small matrices are read ahead at once, where B is packed across its rows; a B that
  // all share is in the cache anyway.
  const each = strideA + strideB;
  const ahead = transposeB && !transposeA && min(m, n) > 1 && strideB > 0 && each <= AHEAD / 4 ? <i32>(AHEAD / each) : 0;
  let fetched = 0;
  for (; batch > 0; --batch) {
    if (ahead > 0 && fetched == 0) {
      fetched = min(ahead, batch);
      fetch(b, <usize>fetched * strideB, scratch);
      fetch(a, <usize>fetched * strideA, scratch);
    }
    --fetched;
    if (column && transposeA) {
      rowSum(b, a, rowA, k, m, out);
    } else if (column) {
      rowProducts(a, rowA, m, k, b, out);
    } else if (m == 1 && transposeB) {
      rowProducts(b, rowB, n, k, a, out);
    } else if (m == 1) {
      rowSum(a, b, rowB, k, n, out);
    } else {
      transposedProduct(a, b, out, m, n, k, rowB, transposeA, transposeB, scratch);
    }
    a += strideA;
    b += strideB;
    out += <usize>m * <usize>n * 4;
  }
}

/**
 * h[rows, rank] = x · A and z[rows, columns] = x · W[:, :columns], for rows of W `ldw` floats apart and rank
 * + columns at most 8: side by side in one narrow tile, they cost as much as one of them.
 */
export function gemmPair(
  x: usize, a: usize, rank: i32, w: usize, ldw: i32, columns: i32, h: usize, z: usize, rows: i32, k: i32, scratch: usize,
): void {
  const ldx = <usize>k << 2;
  const ldh = <usize>rank << 2;
  const ldz = <usize>columns << 2;
  const panel = scratch + TILE;
  packPanel(a, ldh, k, rank, NARROW, panel);
  copyRows(w, <usize>ldw << 2, panel + ldh, NARROW_ROW, k, columns);
  for (; rows > 0; rows -= 4) {
    block4x8(rows, x, ldx, k, panel, NARROW_ROW, scratch, NARROW_ROW);
    const count = min(rows, 4);
    copyRows(scratch, NARROW_ROW, h, ldh, count, rank);
    copyRows(scratch + ldh, NARROW_ROW, z, ldz, count, columns);
    x += 4 * ldx;
    h += 4 * ldh;
    z += 4 * ldz;
  }
}

/** Brings A^T B to a product without transposeA. */
function transposedProduct(
  a: usize, b: usize, out: usize, m: i32, n: i32, k: i32,
  rowB: usize, transposeA: bool, transposeB: bool, scratch: usize,
): void {
  if (!transposeA) {
    product(a, b, out, m, n, k, rowB, transposeB, scratch);
    return;
  }
  const rowA = <usize>m << 2;
  const rowK = <usize>k << 2;
  const spare = scratch + TILE + <usize>k * WIDE_ROW;
  if (!swaps(m, n, k)) {
    transpose(a, rowA, k, m, spare, rowK);
    product(spare, b, out, m, n, k, rowB, transposeB, scratch);
    return;
  }
  const outT = spare + <usize>n * rowK;
  if (!transposeB) transpose(b, rowB, k, n, spare, rowK);
  product(transposeB ? b : spare, a, outT, n, m, k, rowA, false, scratch);
  transpose(outT, rowA, n, m, out, <usize>n << 2);
}

/** Bytes of B that stay in the first-level cache beside the rows of A. */
const IN_CACHE: usize = 16384;

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
    } else if (columns >= width && (m <= 4 || (m <= 64 && <usize>k * rowB <= IN_CACHE))) {
      // A few rows of tiles over a matrix that is in the cache as it is: packing would be a pass of its own.
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
export function wideColumns(
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
