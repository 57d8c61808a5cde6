// Layer normalization over the last axis (Ba, Kiros & Hinton 2016), and its gradient: two passes over a row,
// which stays in the cache.
import {laneSum, sum} from './vector';

/** The mean square of the row's deviations from `mean`. */
function variance(x: usize, width: i32, mean: f32): f32 {
  const m = f32x4.splat(mean);
  let total: f32 = 0;
  let squares = f32x4.splat(0);
  let left = width;
  for (; left >= 4; left -= 4) {
    const d = f32x4.sub(v128.load(x), m);
    squares = f32x4.add(squares, f32x4.mul(d, d));
    x += 16;
  }
  for (; left > 0; --left) {
    const d = load<f32>(x) - mean;
    total += d * d;
    x += 4;
  }
  return (total + laneSum(squares)) / <f32>width;
}

/**
 * out = gamma ∘ (x - mean) / sqrt(variance + epsilon) + beta, row by row. A gamma of 0 stands
 * for ones, a beta of 0 for zeros.
 */
export function layerNorm(x: usize, gamma: usize, beta: usize, out: usize, rows: i32, width: i32, epsilon: f32): void {
  for (; rows > 0; --rows) {
    const mean = sum(x, width) / <f32>width;
    const factor = <f32>1 / sqrt<f32>(variance(x, width, mean) + epsilon);
    const m = f32x4.splat(mean), f = f32x4.splat(factor);
    let g = gamma, b = beta, left = width;
    for (; left >= 4; left -= 4) {
      let y = f32x4.mul(f32x4.sub(v128.load(x), m), f);
      if (gamma != 0) y = f32x4.mul(y, v128.load(g));
      if (beta != 0) y = f32x4.add(y, v128.load(b));
      v128.store(out, y);
      x += 16; out += 16; g += 16; b += 16;
    }
    for (; left > 0; --left) {
      let y = (load<f32>(x) - mean) * factor;
      if (gamma != 0) y *= load<f32>(g);
      if (beta != 0) y += load<f32>(b);
      store<f32>(out, y);
      x += 4; out += 4; g += 4; b += 4;
    }
  }
}

/**
 * The gradient of x: with d = gamma ∘ dy and n the normalized row, (d - mean(d) - n mean(d ∘ n)) /
 * sqrt(variance + epsilon). `row` is room for one row of `width` floats.
 */
export function layerNormGradient(
  dy: usize, x: usize, gamma: usize, out: usize, rows: i32, width: i32, epsilon: f32, row: usize,
): void {
  const bytes = <usize>width << 2;
  const vectors = <usize>(width & ~3) << 2;
  for (; rows > 0; --rows) {
    const mean = sum(x, width) / <f32>width;
    const factor = <f32>1 / sqrt<f32>(variance(x, width, mean) + epsilon);
    let scaled = dy;
    if (gamma != 0) {
      scaled = row;
      let at: usize = 0;
      for (; at < vectors; at += 16) v128.store(row + at, f32x4.mul(v128.load(dy + at), v128.load(gamma + at)));
      for (; at < bytes; at += 4) store<f32>(row + at, load<f32>(dy + at) * load<f32>(gamma + at));
    }
    const total = sum(scaled, width);
    // mean(d ∘ n) without a row of n: n = (x - mean) factor.
    const along = dotCentred(scaled, x, mean, width) * factor / <f32>width;
    const offset = total / <f32>width;
    const m = f32x4.splat(mean), f = f32x4.splat(factor), o = f32x4.splat(offset), a = f32x4.splat(along);
    let at: usize = 0;
    for (; at < vectors; at += 16) {
      const n = f32x4.mul(f32x4.sub(v128.load(x + at), m), f);
      const rest = f32x4.sub(f32x4.sub(v128.load(scaled + at), o), f32x4.mul(n, a));
      v128.store(out + at, f32x4.mul(rest, f));
    }
    for (; at < bytes; at += 4) {
      const n = (load<f32>(x + at) - mean) * factor;
      store<f32>(out + at, (load<f32>(scaled + at) - offset - n * along) * factor);
    }
    dy += bytes; x += bytes; out += bytes;
  }
}

/** The scalar product of d and x - mean. */
function dotCentred(d: usize, x: usize, mean: f32, width: i32): f32 {
  const m = f32x4.splat(mean);
  let sums = f32x4.splat(0);
  for (; width >= 4; width -= 4) {
    sums = f32x4.add(sums, f32x4.mul(v128.load(d), f32x4.sub(v128.load(x), m)));
    d += 16; x += 16;
  }
  let total = laneSum(sums);
  for (; width > 0; --width) {
    total += load<f32>(d) * (load<f32>(x) - mean);
    d += 4; x += 4;
  }
  return total;
}
