// Products with matrices that stay packed: codes, and how they are numbers (see src/packed/layout.ts). Strips
// of 16 columns are unpacked into a panel, over which the microkernels run; a single row meets the codes
// themselves.
import {WIDE, WIDE_ROW} from './block';
import {wideColumns} from './gemm';
import {transpose} from './pack';
import {copyRow, copyRows, TILE} from './tile';
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
const F32 = 4;

/** Where things lie in scratch: what a strip of one unit has in common, and a copy of its last columns. */
const SCALE: usize = TILE;
const OFFSET: usize = SCALE + WIDE_ROW;
const ZERO: usize = OFFSET + WIDE_ROW;
const PADDED: usize = ZERO + WIDE_ROW;
const BLOCK: usize = PADDED + WIDE_ROW;
const PANEL: usize = BLOCK + 16 * WIDE_ROW;

/** Words of one column that are summed as integers, so that no sum of 31 bits overflows. */
const WORDS_AT_ONCE = 32;

/** Rows of a panel that hold, in its place, x in pairs and so many padded words. */
const LEAST = 16 + WORDS_AT_ONCE;

/** Bytes of scratch for products over `k`, or, with none, for rows alone. */
export function packedScratch(k: i32): usize {
  return PANEL + <usize>max(k, LEAST) * WIDE_ROW;
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
  const end = dst + WIDE_ROW;
  if (p.unitColumns == 1) {
    let v = v128.load32_splat(row);
    if (half) v = fromHalf(i32x4.shr_u(v, shift));
    for (; dst < end; dst += 16) v128.store(dst, v);
    return;
  }
  let from = stripAt(row, p.columns, j, scratch);
  for (; dst < end; dst += 16) {
    let v = v128.load(from);
    if (half) v = fromHalf(i32x4.shr_u(v, shift));
    v128.store(dst, v);
    from += 16;
  }
}

/** 16 zero points of a unit, as integers, where they are no constant. */
function unitZeros(p: Packed, unit: i32, j: i32, dst: usize, scratch: usize): void {
  const shared = p.unitColumns == 1;
  const perWord = p.wordBits / p.bits;
  const shift = (unit % perWord) * p.bits;
  const mask = i32x4.splat((1 << p.bits) - 1);
  const row = p.zeros + ((<usize>(unit / perWord) * <usize>p.unitColumns) << 2);
  const from = shared ? row : stripAt(row, p.columns, j, scratch);
  for (let at: usize = 0; at < WIDE_ROW; at += 16) {
    const v = shared ? v128.load32_splat(from) : v128.load(from + at);
    v128.store(dst + at, v128.and(i32x4.shr_u(v, shift), mask));
  }
}

/** 16 columns of a matrix of values F32, which lies in panels as the microkernels read them. */
function panelAt(p: Packed, j: i32): usize {
  return p.codes + <usize>(j >> 4) * <usize>p.rows * WIDE_ROW;
}

/** What no unit changes: see {@link unitAt}. */
function beforeUnits(p: Packed, scratch: usize): void {
  for (let at: usize = 0; at < WIDE_ROW; at += 16) {
    v128.store(scratch + SCALE + at, f32x4.splat(1));
    v128.store(scratch + ZERO + at, i32x4.splat(p.zero));
  }
}

/** What the weights of one unit in 16 columns have in common. */
function unitAt(p: Packed, unit: i32, j: i32, scratch: usize): void {
  if (p.scale != 0) unitFloats(p, p.scale, p.halfScale, unit, j, scratch + SCALE, scratch);
  if (p.offset != 0) unitFloats(p, p.offset, p.halfOffset, unit, j, scratch + OFFSET, scratch);
  if (p.zeros != 0) unitZeros(p, unit, j, scratch + ZERO, scratch);
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
  if (p.values == F32) {
    copyRows(panelAt(p, j) + <usize>first * WIDE_ROW, WIDE_ROW, dst, ldd, end - first, WIDE);
    return;
  }
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
  beforeUnits(p, scratch);
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

/**
 * Whether one row of x can meet the codes themselves: 16 bits hold whole codes, and no unit ends within a
 * word.
 */
function meetsCodes(p: Packed): bool {
  if (p.values != INTEGER || p.wordBits != 32 || (p.bits != 4 && p.bits != 8)) return false;
  return <u32>p.zero <= 256 && (p.group >= p.rows || p.group % (32 / p.bits) == 0);
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
  const panel = scratch + PANEL;
  beforeUnits(p, scratch);
  if (!transposed && m <= FEW && meetsCodes(p) && areNumbers(x, m * k)) {
    for (let i = 0; i < m; ++i) rowProduct(p, x + (<usize>(i * k) << 2), out + <usize>i * row, scratch);
  } else {
    for (let j = 0; j < n; j += WIDE) {
      let q = panel;
      if (transposed) unpackTransposed(p, j, panel, scratch);
      else if (p.values == F32) q = panelAt(p, j);
      else unpackStrip(p, 0, k, j, panel, WIDE_ROW, scratch);
      wideColumns(x, m, k, q, WIDE_ROW, out + (<usize>j << 2), row, n - j, scratch);
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
    let from = block;
    if (p.values == F32 && end == r + 16) from = panelAt(p, j) + <usize>r * WIDE_ROW;
    else unpackStrip(p, r, end, j, block, WIDE_ROW, scratch);
    transpose(from, WIDE_ROW, 16, min(p.columns - j, WIDE), panel + <usize>j * WIDE_ROW, WIDE_ROW);
  }
}

/** Rows of x for which unpacking W costs more than it saves. */
const FEW = 8;

/** Whether numbers are finite, and zero or large enough for {@link split}. */
function areNumbers(x: usize, count: i32): bool {
  for (const end = x + (<usize>count << 2); x < end; x += 4) {
    const size = abs(load<f32>(x));
    if (!(size == 0 || (size > 1e-25 && size < 1e37))) return false;
  }
  return true;
}

/** A number of 30 bits and a sign is upper · 2^15 + lower, of which each fits 16 bits. */
const STEPS: f64 = 32767 * 32768;
const UPPER: f32 = 32768;

/**
 * out[0:n] = x · W for one row of x. Codes are integers, and so is x as soon as it is divided by a step: of
 * 30 bits at the largest number, which is more than float32 has. Two rows of W at a time then are one
 * instruction for each half of those bits, and their sums are exact.
 */
function rowProduct(p: Packed, x: usize, out: usize, scratch: usize): void {
  const perWord = 32 / p.bits;
  const row = <usize>p.columns << 2;
  const pairs = scratch + PANEL;
  const padded = pairs + WORDS_AT_ONCE * 8 * 4;
  const sums = scratch + BLOCK;
  memory.fill(out, 0, row);
  for (let r = 0; r < p.rows; ) {
    const unit = r / p.group;
    const rows = min(min(p.rows, (unit + 1) * p.group) - r, WORDS_AT_ONCE * perWord);
    const words = (rows + perWord - 1) / perWord;
    const step = split(x + (<usize>r << 2), rows, words, perWord, pairs, sums + 128);
    const from = p.codes + <usize>(r / perWord) * row;
    for (let j = 0; j < p.columns; j += WIDE) {
      unitAt(p, unit, j, scratch);
      let strip = from + (<usize>j << 2);
      let ld = row;
      if (p.columns - j < WIDE) {
        copyRows(strip, row, padded, WIDE_ROW, words, p.columns - j);
        strip = padded;
        ld = WIDE_ROW;
      }
      if (p.bits == 4) words4(strip, ld, words, pairs, sums);
      else words8(strip, ld, words, pairs, sums);
      takeStrip(p, step, sums, out + (<usize>j << 2), p.columns - j, scratch);
    }
    r += rows;
  }
}

/**
 * Writes numbers as multiples of a step, by words of W: for each pair of codes that stands in the two halves
 * of a word, the upper bits of both numbers and then the lower ones. Their sums go to `totals`.
 *
 * @returns the step.
 */
function split(x: usize, rows: i32, words: i32, perWord: i32, pairs: usize, totals: usize): f32 {
  let largest: f32 = 0;
  for (let i = 0; i < rows; ++i) largest = max(largest, abs(load<f32>(x + (<usize>i << 2))));
  const inverse: f64 = largest == 0 ? 0 : STEPS / <f64>largest;
  const between = perWord >> 1;
  let upper = 0, lower = 0;
  for (let word = 0; word < words; ++word) {
    for (let i = 0; i < perWord; ++i) {
      const at = word * perWord + i;
      const value = at < rows ? <i32>nearest(<f64>load<f32>(x + (<usize>at << 2)) * inverse) : 0;
      upper += value >> 15;
      lower += value & 0x7fff;
      const second = i >= between;
      const to = pairs + (<usize>(word * perWord + ((second ? i - between : i) << 1)) << 2) + (second ? 2 : 0);
      store<i16>(to, <i16>(value >> 15));
      store<i16>(to, <i16>(value & 0x7fff), 4);
    }
  }
  store<i32>(totals, upper);
  store<i32>(totals, lower, 4);
  return <f32>(<f64>largest / STEPS);
}

// sums[0:2, 0:16] = the upper and the lower bits of x · codes, over rows of words `ld` bytes apart. The words
// are loaded again for each pair of codes: with them, V8 would run out of registers.

function words4(from: usize, ld: usize, words: i32, x: usize, sums: usize): void {
  let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  const mask = i32x4.splat(0xf000f);
  for (; words > 0; --words) {
    let u: v128, l: v128, v: v128;
    u = v128.load32_splat(x); l = v128.load32_splat(x, 4);
    v = v128.and(v128.load(from), mask);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v, u)); b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v, l));
    v = v128.and(v128.load(from, 16), mask);
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v, u)); b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v, l));
    v = v128.and(v128.load(from, 32), mask);
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v, u)); b2 = i32x4.add(b2, i32x4.dot_i16x8_s(v, l));
    v = v128.and(v128.load(from, 48), mask);
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v, u)); b3 = i32x4.add(b3, i32x4.dot_i16x8_s(v, l));
    u = v128.load32_splat(x, 8); l = v128.load32_splat(x, 12);
    v = v128.and(i16x8.shr_u(v128.load(from), 4), mask);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v, u)); b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v, l));
    v = v128.and(i16x8.shr_u(v128.load(from, 16), 4), mask);
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v, u)); b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v, l));
    v = v128.and(i16x8.shr_u(v128.load(from, 32), 4), mask);
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v, u)); b2 = i32x4.add(b2, i32x4.dot_i16x8_s(v, l));
    v = v128.and(i16x8.shr_u(v128.load(from, 48), 4), mask);
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v, u)); b3 = i32x4.add(b3, i32x4.dot_i16x8_s(v, l));
    u = v128.load32_splat(x, 16); l = v128.load32_splat(x, 20);
    v = v128.and(i16x8.shr_u(v128.load(from), 8), mask);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v, u)); b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v, l));
    v = v128.and(i16x8.shr_u(v128.load(from, 16), 8), mask);
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v, u)); b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v, l));
    v = v128.and(i16x8.shr_u(v128.load(from, 32), 8), mask);
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v, u)); b2 = i32x4.add(b2, i32x4.dot_i16x8_s(v, l));
    v = v128.and(i16x8.shr_u(v128.load(from, 48), 8), mask);
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v, u)); b3 = i32x4.add(b3, i32x4.dot_i16x8_s(v, l));
    u = v128.load32_splat(x, 24); l = v128.load32_splat(x, 28);
    v = i16x8.shr_u(v128.load(from), 12);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v, u)); b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v, l));
    v = i16x8.shr_u(v128.load(from, 16), 12);
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v, u)); b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v, l));
    v = i16x8.shr_u(v128.load(from, 32), 12);
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v, u)); b2 = i32x4.add(b2, i32x4.dot_i16x8_s(v, l));
    v = i16x8.shr_u(v128.load(from, 48), 12);
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v, u)); b3 = i32x4.add(b3, i32x4.dot_i16x8_s(v, l));
    from += ld;
    x += 32;
  }
  v128.store(sums, a0); v128.store(sums, a1, 16); v128.store(sums, a2, 32); v128.store(sums, a3, 48);
  v128.store(sums, b0, 64); v128.store(sums, b1, 80); v128.store(sums, b2, 96); v128.store(sums, b3, 112);
}

function words8(from: usize, ld: usize, words: i32, x: usize, sums: usize): void {
  let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  const mask = i32x4.splat(0xff00ff);
  for (; words > 0; --words) {
    let u: v128, l: v128, v: v128;
    u = v128.load32_splat(x); l = v128.load32_splat(x, 4);
    v = v128.and(v128.load(from), mask);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v, u)); b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v, l));
    v = v128.and(v128.load(from, 16), mask);
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v, u)); b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v, l));
    v = v128.and(v128.load(from, 32), mask);
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v, u)); b2 = i32x4.add(b2, i32x4.dot_i16x8_s(v, l));
    v = v128.and(v128.load(from, 48), mask);
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v, u)); b3 = i32x4.add(b3, i32x4.dot_i16x8_s(v, l));
    u = v128.load32_splat(x, 8); l = v128.load32_splat(x, 12);
    v = i16x8.shr_u(v128.load(from), 8);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v, u)); b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v, l));
    v = i16x8.shr_u(v128.load(from, 16), 8);
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v, u)); b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v, l));
    v = i16x8.shr_u(v128.load(from, 32), 8);
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v, u)); b2 = i32x4.add(b2, i32x4.dot_i16x8_s(v, l));
    v = i16x8.shr_u(v128.load(from, 48), 8);
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v, u)); b3 = i32x4.add(b3, i32x4.dot_i16x8_s(v, l));
    from += ld;
    x += 16;
  }
  v128.store(sums, a0); v128.store(sums, a1, 16); v128.store(sums, a2, 32); v128.store(sums, a3, 48);
  v128.store(sums, b0, 64); v128.store(sums, b1, 80); v128.store(sums, b2, 96); v128.store(sums, b3, 112);
}

/** out[0:16] += scale ∘ x · (codes - zero) + offset · sum of x, or what there is of the columns. */
function takeStrip(p: Packed, step: f32, sums: usize, out: usize, columns: i32, scratch: usize): void {
  const upper = load<i32>(sums, 128), lower = load<i32>(sums, 132);
  const few = f32x4.splat(step), many = f32x4.splat(step * UPPER);
  const total = f32x4.splat(<f32>upper * step * UPPER + <f32>lower * step);
  const to = columns < WIDE ? sums : out;
  for (let at: usize = 0; at < WIDE_ROW; at += 16) {
    const zero = v128.load(scratch + ZERO + at);
    const a = i32x4.sub(v128.load(sums + at), i32x4.mul(zero, i32x4.splat(upper)));
    const b = i32x4.sub(v128.load(sums + at, 64), i32x4.mul(zero, i32x4.splat(lower)));
    let v = f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(a), many), f32x4.mul(f32x4.convert_i32x4_s(b), few));
    v = f32x4.mul(v, v128.load(scratch + SCALE + at));
    if (p.offset != 0) v = f32x4.add(v, f32x4.mul(v128.load(scratch + OFFSET + at), total));
    if (columns >= WIDE) v = f32x4.add(v, v128.load(out + at));
    v128.store(to + at, v);
  }
  if (columns < WIDE) addScaled(1, sums, out, columns);
}
