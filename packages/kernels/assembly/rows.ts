// Rows of a matrix picked out by their numbers, and added back: what turns a product per expert into a
// product of dense matrices.
import {addScaled} from './vector';

/**
 * out[i] = scale · factors[list[i]] · src[list[i]], `width` floats a row, `out` without gaps. Rows of src are
 * `lds` bytes apart, factors `factorStride` bytes; a factors pointer of 0 stands for ones.
 */
export function gatherRows(
  src: usize, lds: usize, list: usize, count: i32, width: i32,
  factors: usize, factorStride: usize, scale: f32, out: usize,
): void {
  const row = <usize>width << 2;
  for (; count > 0; --count) {
    const at = <usize>load<i32>(list);
    const from = src + at * lds;
    if (factors == 0 && scale == 1) memory.copy(out, from, row);
    else copyScaled(factors == 0 ? scale : scale * load<f32>(factors + at * factorStride), from, out, width);
    list += 4;
    out += row;
  }
}

/**
 * out[list[i]] += factor · rows[i], `width` floats a row, `rows` without gaps.
 * Rows of out are `ldo` bytes apart.
 */
export function scatterAddRows(
  rows: usize, list: usize, count: i32, width: i32, factor: f32, out: usize, ldo: usize,
): void {
  for (; count > 0; --count) {
    addScaled(factor, rows, out + <usize>load<i32>(list) * ldo, width);
    list += 4;
    rows += <usize>width << 2;
  }
}

/** out[i] = rows[i] for `count` rows of `width` floats, `rows` without gaps. */
export function spreadRows(rows: usize, count: i32, width: i32, out: usize, ldo: usize): void {
  for (; count > 0; --count) {
    copyScaled(1, rows, out, width);
    rows += <usize>width << 2;
    out += ldo;
  }
}

/** out = factor · x */
function copyScaled(factor: f32, x: usize, out: usize, size: i32): void {
  const f = f32x4.splat(factor);
  for (; size >= 4; size -= 4) {
    v128.store(out, f32x4.mul(f, v128.load(x)));
    x += 16; out += 16;
  }
  for (; size > 0; --size) {
    store<f32>(out, factor * load<f32>(x));
    x += 4; out += 4;
  }
}
