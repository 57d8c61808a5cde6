// Products with matrices that stay packed: codes, and how they are numbers (see src/packed/layout.ts). Strips
// of 16 columns are unpacked into a panel, over which the microkernels run; a single row meets the codes
// themselves.
import {multiplyAdd, WIDE, WIDE_ROW} from './block';
import {wideColumns} from './gemm';
import {transpose} from './pack';
import {copyRow, TILE} from './tile';
import {addScaled} from './vector';

/** A matrix, as 32-bit words in the order of PACKED_WORDS in src/backends/wasm/packed.ts. */
@unmanaged
class Packed {
  rows: i32;
  columns: i32;
  bits: i32;
  wordBits: i32;
  /** How a code is a number, in the order of PACKED_VALUES in src/packed/layout.ts. */
  values: i32;
  group: i32;
  unitColumns: i32;
  zero: i32;
  codes: usize;
  scale: usize;
  halfScale: i32;
  zeros: usize;
  offset: usize;
  halfOffset: i32;
  codebook: usize;
}

const INTEGER = 0;
const F16 = 1;
const BF16 = 2;

/** Where things lie in scratch: what a strip of one unit has in common, and a copy of its last columns. */
const SCALE: usize = TILE;
const OFFSET: usize = SCALE + WIDE_ROW;
const ZERO: usize = OFFSET + WIDE_ROW;
const PADDED: usize = ZERO + WIDE_ROW;
const BLOCK: usize = PADDED + WIDE_ROW;
const PANEL: usize = BLOCK + 16 * WIDE_ROW;

/** Rows whose sum takes the zero point off at once: in more of them, rounding would show. */
const TOGETHER = 64;

/** Bytes of scratch for products over `k` with `n` columns. */
export function packedScratch(k: i32, n: i32): usize {
  return PANEL + <usize>max(k, 16) * WIDE_ROW + <usize>n * 4 + 4 * WIDE_ROW;
}

// @ts-ignore: decorator
@inline
function fromHalf(v: v128): v128 {
  // With the exponent of float32 it is 2^112 times too small, subnormal numbers too.
  const size = i32x4.shl(v128.and(v, i32x4.splat(0x7fff)), 13);
  const sign = i32x4.shl(v128.and(v, i32x4.splat(0x8000)), 16);
  return v128.or(f32x4.mul(size, i32x4.splat(0x77800000)), sign);
}

/** 16 words of a row from column j on, from a padded copy where the row ends before. */
function stripAt(row: usize, columns: i32, j: i32, scratch: usize): usize {
  const from = row + (<usize>j << 2);
  if (columns - j >= WIDE) return from;
  copyRow(from, scratch + PADDED, columns - j);
  return scratch + PADDED;
}

/** 16 floats of the scale's or the offset's row of a unit. */
function unitFloats(p: Packed, part: usize, half: i32, unit: i32, j: i32, dst: usize, scratch: usize): void {
  const perWord = half ? p.wordBits >> 4 : 1;
  const shift = half ? (unit % perWord) << 4 : 0;
  const row = part + ((<usize>(unit / perWord) * <usize>p.unitColumns) << 2);
  const shared = p.unitColumns == 1;
  const from = shared ? row : stripAt(row, p.columns, j, scratch);
  for (let at: usize = 0; at < WIDE_ROW; at += 16) {
    let v = shared ? v128.load32_splat(from) : v128.load(from + at);
    if (half) v = fromHalf(i32x4.shr_u(v, shift));
    v128.store(dst + at, v);
  }
}

/** 16 zero points of a unit, as integers. */
function unitZeros(p: Packed, unit: i32, j: i32, dst: usize, scratch: usize): void {
  const shared = p.zeros == 0 || p.unitColumns == 1;
  const perWord = p.wordBits / p.bits;
  const shift = (unit % perWord) * p.bits;
  const mask = i32x4.splat((1 << p.bits) - 1);
  const row = p.zeros + ((<usize>(unit / perWord) * <usize>p.unitColumns) << 2);
  const from = shared ? row : stripAt(row, p.columns, j, scratch);
  for (let at: usize = 0; at < WIDE_ROW; at += 16) {
    let v = i32x4.splat(p.zero);
    if (p.zeros != 0) {
      v = shared ? v128.load32_splat(from) : v128.load(from + at);
      v = v128.and(i32x4.shr_u(v, shift), mask);
    }
    v128.store(dst + at, v);
  }
}

/** What the weights of one unit in 16 columns have in common. */
function unitAt(p: Packed, unit: i32, j: i32, scratch: usize): void {
  if (p.scale != 0) {
    unitFloats(p, p.scale, p.halfScale, unit, j, scratch + SCALE, scratch);
  } else {
    for (let at: usize = 0; at < WIDE_ROW; at += 16) v128.store(scratch + SCALE + at, f32x4.splat(1));
  }
  if (p.offset != 0) unitFloats(p, p.offset, p.halfOffset, unit, j, scratch + OFFSET, scratch);
  if (p.values == INTEGER) unitZeros(p, unit, j, scratch + ZERO, scratch);
}

// @ts-ignore: decorator
@inline
function lookUp(book: usize, codes: v128): v128 {
  let v = v128.load32_zero(book + (<usize>i32x4.extract_lane(codes, 0) << 2));
  v = v128.load32_lane(book + (<usize>i32x4.extract_lane(codes, 1) << 2), v, 1);
  v = v128.load32_lane(book + (<usize>i32x4.extract_lane(codes, 2) << 2), v, 2);
  return v128.load32_lane(book + (<usize>i32x4.extract_lane(codes, 3) << 2), v, 3);
}

/** W[first:end, j:j+16], rows of dst `ldd` bytes apart; what is beyond the last column has no meaning. */
function unpackStrip(p: Packed, first: i32, end: i32, j: i32, dst: usize, ldd: usize, scratch: usize): void {
  const perWord = p.wordBits / p.bits;
  const mask = i32x4.splat((1 << p.bits) - 1);
  const row = <usize>p.columns << 2;
  for (let r = first; r < end;) {
    const unit = r / p.group;
    const last = min(end, (unit + 1) * p.group);
    unitAt(p, unit, j, scratch);
    while (r < last) {
      const word = r / perWord;
      const from = stripAt(p.codes + <usize>word * row, p.columns, j, scratch);
      const stop = min(last, (word + 1) * perWord);
      for (let shift = (r - word * perWord) * p.bits; r < stop; ++r) {
        for (let at: usize = 0; at < WIDE_ROW; at += 16) {
          let v = v128.and(i32x4.shr_u(v128.load(from + at), shift), mask);
          if (p.values == INTEGER) v = f32x4.convert_i32x4_s(i32x4.sub(v, v128.load(scratch + ZERO + at)));
          else if (p.values == F16) v = fromHalf(v);
          else if (p.values == BF16) v = i32x4.shl(v, 16);
          else v = lookUp(p.codebook, v);
          v = f32x4.mul(v, v128.load(scratch + SCALE + at));
          if (p.offset != 0) v = f32x4.add(v, v128.load(scratch + OFFSET + at));
          v128.store(dst + at, v);
        }
        shift += p.bits;
        dst += ldd;
      }
    }
  }
}

/** out[i] = W[list[i]] for `count` rows of their numbers, or W's rows in order without a list. */
export function unpackRows(pointer: usize, list: usize, count: i32, out: usize, scratch: usize): void {
  const p = changetype<Packed>(pointer);
  const row = <usize>p.columns << 2;
  const block = scratch + BLOCK;
  for (let i = 0; i < count; ) {
    // Rows that follow each other share words and units.
    const rows = list == 0 ? min(16, count - i) : 1;
    const r = list == 0 ? i : load<i32>(list + (<usize>i << 2));
    for (let j = 0; j < p.columns; j += WIDE) {
      unpackStrip(p, r, r + rows, j, block, WIDE_ROW, scratch);
      for (let own = 0; own < rows; ++own) {
        copyRow(block + <usize>own * WIDE_ROW, out + <usize>own * row + (<usize>j << 2), p.columns - j);
      }
    }
    out += <usize>rows * row;
    i += rows;
  }
}

/** Whether one row of x can meet the codes themselves: no unit ends within a word. */
function meetsCodes(p: Packed): bool {
  return p.values == INTEGER && (p.group >= p.rows || p.group % (p.wordBits / p.bits) == 0);
}

/**
 * out[m, n] = x · W + bias, or x · W^T + bias with `transposed`; a bias of 0 is none.
 */
export function packedProduct(
  pointer: usize, x: usize, m: i32, transposed: bool, bias: usize, out: usize, scratch: usize,
): void {
  const p = changetype<Packed>(pointer);
  const k = transposed ? p.columns : p.rows;
  const n = transposed ? p.rows : p.columns;
  const row = <usize>n << 2;
  if (!transposed && m <= 3 && meetsCodes(p)) {
    for (let i = 0; i < m; ++i) vectorProduct(p, x + (<usize>(i * k) << 2), out + <usize>i * row, scratch);
  } else {
    const panel = scratch + PANEL;
    for (let j = 0; j < n; j += WIDE) {
      if (transposed) unpackTransposed(p, j, panel, scratch);
      else unpackStrip(p, 0, k, j, panel, WIDE_ROW, scratch);
      wideColumns(x, m, k, panel, WIDE_ROW, out + (<usize>j << 2), row, n - j, scratch);
    }
  }
  if (bias == 0) return;
  for (; m > 0; --m) {
    addScaled(1, bias, out, n);
    out += row;
  }
}

/** panel[c, 0:16] = W[r:r+16, c] */
function unpackTransposed(p: Packed, r: i32, panel: usize, scratch: usize): void {
  const block = scratch + BLOCK;
  const end = min(p.rows, r + 16);
  for (let j = 0; j < p.columns; j += WIDE) {
    unpackStrip(p, r, end, j, block, WIDE_ROW, scratch);
    transpose(block, WIDE_ROW, 16, min(p.columns - j, WIDE), panel + <usize>j * WIDE_ROW, WIDE_ROW);
  }
}

/**
 * out[0:n] = x · W for one row of x, which meets the codes: scale ∘ (sum of x · code - zero · sum of x) +
 * offset · sum of x, for as many rows at once as share all that.
 */
function vectorProduct(p: Packed, x: usize, out: usize, scratch: usize): void {
  const perWord = p.wordBits / p.bits;
  const row = <usize>p.columns << 2;
  const scaled = scratch + PANEL;
  memory.fill(out, 0, row);
  for (let r = 0; r < p.rows; ) {
    const unit = r / p.group;
    const word = r / perWord;
    const words = (min(min(p.rows, (unit + 1) * p.group), r + TOGETHER) - r + perWord - 1) / perWord;
    const end = min(p.rows, r + words * perWord);
    const total = inPlace(p, x + (<usize>r << 2), end - r, words * perWord, scaled);
    const from = p.codes + <usize>word * row;
    for (let j = 0; j < p.columns; j += WIDE) {
      unitAt(p, unit, j, scratch);
      stripProduct(p, from, words, j, scaled, scratch);
      takeStrip(p, total, out + (<usize>j << 2), p.columns - j, scratch);
    }
    r = end;
  }
}

/**
 * dst = x, each divided by the power of two by which its code is too large where it stands in its 16 bits, so
 * that no code needs a shift of its own; zeros up to `padded`.
 *
 * @returns the sum of x.
 */
function inPlace(p: Packed, x: usize, count: i32, padded: i32, dst: usize): f32 {
  let total: f32 = 0;
  const perWord = p.wordBits / p.bits;
  const stands = inHalves(p);
  for (let i = 0; i < padded; ++i) {
    const value = i < count ? load<f32>(x + (<usize>i << 2)) : 0;
    total += value;
    const power = stands ? (i % perWord) * p.bits & 15 : 0;
    store<f32>(dst + (<usize>i << 2), value / <f32>(1 << power));
  }
  return total;
}

/** Whether there is code for codes of that width, in two halves of a word. */
function inHalves(p: Packed): bool {
  return p.wordBits == 32 && (p.bits == 4 || p.bits == 8);
}

/** tile[0:16] = the sum of x · code over some rows of words. */
function stripProduct(p: Packed, from: usize, words: i32, j: i32, x: usize, scratch: usize): void {
  const row = <usize>p.columns << 2;
  if (p.columns - j < WIDE || !inHalves(p)) {
    anyProduct(p, from, words, j, x, scratch);
  } else if (p.bits == 4) {
    product4(from + (<usize>j << 2), row, words, x, scratch);
  } else {
    product8(from + (<usize>j << 2), row, words, x, scratch);
  }
}

// @ts-ignore: decorator
@inline
function meet(s: v128, words: v128, mask: v128, sum: v128): v128 {
  return multiplyAdd(s, f32x4.convert_i32x4_s(v128.and(words, mask)), sum);
}

function product4(from: usize, ld: usize, words: i32, x: usize, dst: usize): void {
  let c0 = f32x4.splat(0), c1 = f32x4.splat(0), c2 = f32x4.splat(0), c3 = f32x4.splat(0);
  const m0 = i32x4.splat(0xf), m1 = i32x4.splat(0xf0), m2 = i32x4.splat(0xf00), m3 = i32x4.splat(0xf000);
  for (; words > 0; --words) {
    let w0 = v128.load(from), w1 = v128.load(from, 16), w2 = v128.load(from, 32), w3 = v128.load(from, 48);
    for (let half = 0; half < 2; ++half) {
      let s = v128.load32_splat(x);
      c0 = meet(s, w0, m0, c0); c1 = meet(s, w1, m0, c1); c2 = meet(s, w2, m0, c2); c3 = meet(s, w3, m0, c3);
      s = v128.load32_splat(x, 4);
      c0 = meet(s, w0, m1, c0); c1 = meet(s, w1, m1, c1); c2 = meet(s, w2, m1, c2); c3 = meet(s, w3, m1, c3);
      s = v128.load32_splat(x, 8);
      c0 = meet(s, w0, m2, c0); c1 = meet(s, w1, m2, c1); c2 = meet(s, w2, m2, c2); c3 = meet(s, w3, m2, c3);
      s = v128.load32_splat(x, 12);
      c0 = meet(s, w0, m3, c0); c1 = meet(s, w1, m3, c1); c2 = meet(s, w2, m3, c2); c3 = meet(s, w3, m3, c3);
      w0 = i32x4.shr_u(w0, 16); w1 = i32x4.shr_u(w1, 16); w2 = i32x4.shr_u(w2, 16); w3 = i32x4.shr_u(w3, 16);
      x += 16;
    }
    from += ld;
  }
  v128.store(dst, c0); v128.store(dst, c1, 16); v128.store(dst, c2, 32); v128.store(dst, c3, 48);
}

function product8(from: usize, ld: usize, words: i32, x: usize, dst: usize): void {
  let c0 = f32x4.splat(0), c1 = f32x4.splat(0), c2 = f32x4.splat(0), c3 = f32x4.splat(0);
  const m0 = i32x4.splat(0xff), m1 = i32x4.splat(0xff00);
  for (; words > 0; --words) {
    let w0 = v128.load(from), w1 = v128.load(from, 16), w2 = v128.load(from, 32), w3 = v128.load(from, 48);
    for (let half = 0; half < 2; ++half) {
      let s = v128.load32_splat(x);
      c0 = meet(s, w0, m0, c0); c1 = meet(s, w1, m0, c1); c2 = meet(s, w2, m0, c2); c3 = meet(s, w3, m0, c3);
      s = v128.load32_splat(x, 4);
      c0 = meet(s, w0, m1, c0); c1 = meet(s, w1, m1, c1); c2 = meet(s, w2, m1, c2); c3 = meet(s, w3, m1, c3);
      w0 = i32x4.shr_u(w0, 16); w1 = i32x4.shr_u(w1, 16); w2 = i32x4.shr_u(w2, 16); w3 = i32x4.shr_u(w3, 16);
      x += 8;
    }
    from += ld;
  }
  v128.store(dst, c0); v128.store(dst, c1, 16); v128.store(dst, c2, 32); v128.store(dst, c3, 48);
}

/** The same for codes of any width, and at the last columns. */
function anyProduct(p: Packed, from: usize, words: i32, j: i32, x: usize, scratch: usize): void {
  const perWord = p.wordBits / p.bits;
  const row = <usize>p.columns << 2;
  const stands = inHalves(p);
  const mask = (1 << p.bits) - 1;
  let c0 = f32x4.splat(0), c1 = f32x4.splat(0), c2 = f32x4.splat(0), c3 = f32x4.splat(0);
  for (; words > 0; --words) {
    const strip = stripAt(from, p.columns, j, scratch);
    for (let i = 0; i < perWord; ++i) {
      // Where x is divided, the code stays where it stands.
      const shift = i * p.bits;
      const left = stands ? shift & 15 : 0;
      const m = i32x4.splat(mask << left);
      const s = v128.load32_splat(x);
      const by = shift - left;
      c0 = meet(s, i32x4.shr_u(v128.load(strip), by), m, c0);
      c1 = meet(s, i32x4.shr_u(v128.load(strip, 16), by), m, c1);
      c2 = meet(s, i32x4.shr_u(v128.load(strip, 32), by), m, c2);
      c3 = meet(s, i32x4.shr_u(v128.load(strip, 48), by), m, c3);
      x += 4;
    }
    from += row;
  }
  v128.store(scratch, c0); v128.store(scratch, c1, 16); v128.store(scratch, c2, 32); v128.store(scratch, c3, 48);
}

/** out[0:16] += scale ∘ (tile - zero · total) + offset · total, or what there is of the columns. */
function takeStrip(p: Packed, total: f32, out: usize, columns: i32, scratch: usize): void {
  const sum = f32x4.splat(total);
  for (let at: usize = 0; at < WIDE_ROW; at += 16) {
    let v = v128.load(scratch + at);
    v = f32x4.sub(v, f32x4.mul(f32x4.convert_i32x4_s(v128.load(scratch + ZERO + at)), sum));
    v = f32x4.mul(v, v128.load(scratch + SCALE + at));
    if (p.offset != 0) v = f32x4.add(v, f32x4.mul(v128.load(scratch + OFFSET + at), sum));
    v128.store(scratch + at, v);
  }
  addScaled(1, scratch, out, min(columns, WIDE));
}
