// post ∘ act( alpha ∘ (x W + bias) + beta ∘ scale · h B + offset ), tile by tile: one pass over the output.
// `delta` [rows, dOut], if there, stands for scale · h B.
import {activateInPlace, LINEAR} from './activations';
import {block2x16, WIDE, WIDE_ROW} from './block';
import {packPanel, scalePanel} from './pack';
import {rowSum} from './vector';
import {addTile, addVector, copyRow, copyRows, multiplyColumns, multiplyTile, multiplyVector, TILE} from './tile';

/**
 * The arguments, as 32-bit words in the order of COMBINE_WORDS in
 * src/backends/wasm/combine.ts. A pointer of 0 is absent.
 */
@unmanaged
class Combine {
  rows: i32;
  dIn: i32;
  dOut: i32;
  activation: i32;
  x: usize;
  kernel: usize;
  bias: usize;
  z: usize;
  h: usize;
  rank: i32;
  b: usize;
  delta: usize;
  offset: usize;
  alpha: usize;
  alphaGates: usize;
  alphaTable: usize;
  alphaExperts: i32;
  alphaHeads: i32;
  beta: usize;
  betaGates: usize;
  betaTable: usize;
  betaExperts: i32;
  betaHeads: i32;
  post: usize;
  postGates: usize;
  postTable: usize;
  postExperts: i32;
  postHeads: i32;
  y: usize;
  savedZ: usize;
  savedU: usize;
  /** From here on: where things lie in scratch, set by `combine`. */
  base: usize;
  tail: usize;
  factor: usize;
  padded: usize;
  kernelPanel: usize;
  bPanels: usize;
  alphaPanels: usize;
  betaPanels: usize;
  postPanels: usize;
}

/** Bytes of the panels of a matrix with `rows` rows and `columns` columns. */
function panelBytes(rows: i32, columns: i32): usize {
  return <usize>((columns + 15) >> 4) * <usize>rows * WIDE_ROW;
}

/** Bytes of scratch that `combine` needs, for `depth` = rank + alphaExperts + betaExperts + postExperts. */
export function combineScratch(dIn: i32, dOut: i32, depth: i32): usize {
  return 3 * TILE + WIDE_ROW + <usize>dIn * WIDE_ROW + panelBytes(depth, dOut);
}

/** Packs all panels of [k, columns] and returns the end of what was written. */
function packAll(src: usize, k: i32, columns: i32, dst: usize): usize {
  for (let j = 0; j < columns; j += WIDE) {
    packPanel(src + (<usize>j << 2), <usize>columns << 2, k, columns - j, WIDE, dst);
    dst += <usize>k * WIDE_ROW;
  }
  return dst;
}

/** Rows that the kernel is not packed for. */
const FEW = 4;

export function combine(pointer: usize, scale: f32, scratch: usize): void {
  const c = changetype<Combine>(pointer);
  c.base = scratch;
  c.tail = scratch + TILE;
  c.factor = scratch + 2 * TILE;
  c.padded = scratch + 3 * TILE;
  c.kernelPanel = c.padded + WIDE_ROW;
  c.bPanels = c.kernelPanel + <usize>c.dIn * WIDE_ROW;
  c.alphaPanels = packAll(c.b, c.rank, c.dOut, c.bPanels);
  scalePanel(c.bPanels, c.alphaPanels, scale);
  c.betaPanels = packAll(c.alphaTable, c.alphaExperts, c.dOut, c.alphaPanels);
  c.postPanels = packAll(c.betaTable, c.betaExperts, c.dOut, c.betaPanels);
  packAll(c.postTable, c.postExperts, c.dOut, c.postPanels);
  if (c.x != 0 && c.rows <= FEW) {
    // So few rows are bound by memory: the kernel is read in its own order, row by row, and not by strips.
    const row = <usize>c.dOut << 2;
    for (let i = 0; i < c.rows; ++i) {
      rowSum(c.x + ((<usize>i * <usize>c.dIn) << 2), c.kernel, row, c.dIn, c.dOut, c.y + <usize>i * row);
    }
    c.z = c.y;
    c.x = 0;
  }
  if (c.x == 0) {
    // Nothing is shared along a column, so the rows are walked in the order of memory.
    for (let i = 0; i < c.rows; i += 2) {
      for (let j = 0; j < c.dOut; j += WIDE) tileAt(c, i, j, 0, 0);
    }
    return;
  }
  const row = <usize>c.dOut << 2;
  for (let j = 0; j < c.dOut; j += WIDE) {
    const q = c.kernel + (<usize>j << 2);
    packPanel(q, row, c.dIn, c.dOut - j, WIDE, c.kernelPanel);
    for (let i = 0; i < c.rows; i += 2) tileAt(c, i, j, c.kernelPanel, WIDE_ROW);
  }
}

/** 16 floats of a vector, from a padded copy where the vector ends before. */
function part(c: Combine, vector: usize, j: i32): usize {
  const from = vector + (<usize>j << 2);
  if (c.dOut - j >= WIDE) return from;
  copyRow(from, c.padded, c.dOut - j);
  return c.padded;
}

/** tile ∘ (gates · table), or tile ∘ vector, or the tile as it is. */
function multiplyScale(
  c: Combine, tile: usize, i: i32, j: i32, vector: usize, gates: usize, experts: i32, heads: i32, panels: usize,
): void {
  if (vector != 0) multiplyVector(tile, part(c, vector, j));
  if (gates == 0) return;
  const width = <usize>(experts * heads) << 2;
  const panel = panels + <usize>(j >> 4) * <usize>experts * WIDE_ROW;
  const rows = min(c.rows - i, 2);
  const headDim = c.dOut / heads;
  const end = min(j + WIDE, c.dOut);
  gates += <usize>i * width;
  // A tile lies in one head or in several; what is computed for the columns of other heads is not used.
  for (let column = j; column < end;) {
    const head = column / headDim;
    const next = min((head + 1) * headDim, end);
    const from = gates + (<usize>(head * experts) << 2);
    block2x16(rows, from, width, experts, panel, WIDE_ROW, 0, 0, 0, 0, 0, c.factor, WIDE_ROW);
    if (column == j && next == end) multiplyTile(tile, c.factor);
    else multiplyColumns(tile, c.factor, column - j, next - j);
    column = next;
  }
}

function tileAt(c: Combine, i: i32, j: i32, q: usize, ldq: usize): void {
  const rows = min(c.rows - i, 2);
  const columns = c.dOut - j;
  const ldo = <usize>c.dOut << 2;
  const at = <usize>i * ldo + (<usize>j << 2);
  const tile = c.base;
  const scaledBase = (c.alpha | c.alphaGates | c.savedZ) != 0;
  const scaledTail = (c.beta | c.betaGates) != 0;
  const rank = c.h != 0 ? c.rank : 0;
  const h = c.h + (<usize>i * <usize>rank << 2);
  const bPanel = c.bPanels + <usize>(j >> 4) * <usize>rank * WIDE_ROW;
  let pending = rank > 0 || c.delta != 0;
  if (c.x != 0) {
    const x = c.x + (<usize>i * <usize>c.dIn << 2);
    // Where nothing comes between the base product and the tail, the tail is more steps of the same product.
    const merged = rank > 0 && !scaledBase && !scaledTail;
    if (merged) pending = false;
    const steps = merged ? rank : 0;
    const plain = !pending && !scaledBase && c.activation == LINEAR
      && (c.bias | c.offset | c.post | c.postGates | c.savedU) == 0;
    if (plain && rows == 2 && columns >= WIDE) {
      block2x16(2, x, <usize>c.dIn << 2, c.dIn, q, ldq, h, <usize>rank << 2, steps, bPanel, WIDE_ROW, c.y + at, ldo);
      return;
    }
    block2x16(rows, x, <usize>c.dIn << 2, c.dIn, q, ldq, h, <usize>rank << 2, steps, bPanel, WIDE_ROW, tile, WIDE_ROW);
  } else {
    copyRows(c.z + at, ldo, tile, WIDE_ROW, rows, columns);
  }
  if (c.bias != 0) addVector(tile, part(c, c.bias, j));
  if (c.savedZ != 0) copyRows(tile, WIDE_ROW, c.savedZ + at, ldo, rows, columns);
  multiplyScale(c, tile, i, j, c.alpha, c.alphaGates, c.alphaExperts, c.alphaHeads, c.alphaPanels);
  if (pending) {
    if (c.delta != 0) copyRows(c.delta + at, ldo, c.tail, WIDE_ROW, rows, columns);
    else block2x16(rows, h, <usize>rank << 2, rank, bPanel, WIDE_ROW, 0, 0, 0, 0, 0, c.tail, WIDE_ROW);
    multiplyScale(c, c.tail, i, j, c.beta, c.betaGates, c.betaExperts, c.betaHeads, c.betaPanels);
    addTile(tile, c.tail);
  }
  if (c.offset != 0) addVector(tile, part(c, c.offset, j));
  if (c.savedU != 0) copyRows(tile, WIDE_ROW, c.savedU + at, ldo, rows, columns);
  if (c.activation != LINEAR) activateInPlace(tile, tile + TILE, c.activation);
  multiplyScale(c, tile, i, j, c.post, c.postGates, c.postExperts, c.postHeads, c.postPanels);
  copyRows(tile, WIDE_ROW, c.y + at, ldo, rows, columns);
}
