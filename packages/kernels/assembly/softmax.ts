// Rows of routers' gates: they are short, a few numbers for as many experts.
import {exponential} from './activations';
import {dot, laneSum} from './vector';

// @ts-ignore: decorator
@inline
function get(row: usize, i: i32): f32 {
  return load<f32>(row + (<usize>i << 2));
}

// @ts-ignore: decorator
@inline
function set(row: usize, i: i32, value: f32): void {
  store<f32>(row + (<usize>i << 2), value);
}

/** row = softmax(scale · row), in place. */
function softmaxRow(row: usize, width: i32, scale: f32): void {
  let largest = scale * get(row, 0);
  for (let i = 1; i < width; ++i) largest = max<f32>(largest, scale * get(row, i));
  const s = f32x4.splat(scale), top = f32x4.splat(largest);
  let total: f32 = 0;
  let i = 0;
  for (; i + 4 <= width; i += 4) {
    const at = row + (<usize>i << 2);
    const e = exponential(f32x4.sub(f32x4.mul(v128.load(at), s), top));
    v128.store(at, e);
    total += laneSum(e);
  }
  for (; i < width; ++i) {
    const e = f32x4.extract_lane(exponential(f32x4.splat(scale * get(row, i) - largest)), 0);
    set(row, i, e);
    total += e;
  }
  for (let i = 0; i < width; ++i) set(row, i, get(row, i) / total);
}

/** Rows of x become softmax(scale · row), in place. */
export function softmaxRows(x: usize, rows: i32, width: i32, scale: f32): void {
  for (; rows > 0; --rows) {
    softmaxRow(x, width, scale);
    x += <usize>width << 2;
  }
}

/**
 * out = scale · y ∘ (dy - dy · y), row by row: the gradient of softmax(scale · x) for x, from its values y.
 */
export function softmaxGradient(dy: usize, y: usize, out: usize, rows: i32, width: i32, scale: f32): void {
  for (; rows > 0; --rows) {
    const along = dot(dy, y, width);
    for (let i = 0; i < width; ++i) set(out, i, scale * get(y, i) * (get(dy, i) - along));
    const row = <usize>width << 2;
    dy += row; y += row; out += row;
  }
}

// @ts-ignore: decorator
@inline
function magnitude(row: usize, width: i32, floor: f32): f32 {
  let largest = floor;
  for (let i = 0; i < width; ++i) largest = max<f32>(largest, abs<f32>(get(row, i)));
  return largest;
}

/**
 * p = softmax(weightA a / |a| + weightB b / |b|), |.| a row's largest magnitude or `floor`; gates = what of p
 * is at least theta times the row's largest, scaled to sum to 1. A gates pointer of 0 stands for none.
 */
export function streamGates(
  a: usize, b: usize, p: usize, gates: usize,
  rows: i32, width: i32, weightA: f32, weightB: f32, theta: f32, floor: f32,
): void {
  const row = <usize>width << 2;
  for (; rows > 0; --rows) {
    const byA = weightA / magnitude(a, width, floor), byB = weightB / magnitude(b, width, floor);
    for (let i = 0; i < width; ++i) set(p, i, byA * get(a, i) + byB * get(b, i));
    softmaxRow(p, width, 1);
    if (gates != 0) {
      let largest = get(p, 0);
      for (let i = 1; i < width; ++i) largest = max<f32>(largest, get(p, i));
      const least = theta * largest;
      let total: f32 = 0;
      for (let i = 0; i < width; ++i) if (get(p, i) >= least) total += get(p, i);
      for (let i = 0; i < width; ++i) set(gates, i, get(p, i) >= least ? get(p, i) / total : 0);
      gates += row;
    }
    a += row; b += row; p += row;
  }
}

/** dx of weight · x / |x| for its logits' gradient dz; through the maximum too. */
function streamGradient(dz: usize, x: usize, dx: usize, width: i32, weight: f32, floor: f32): void {
  const largest = magnitude(x, width, floor);
  const by = weight / largest;
  const along = dot(dz, x, width) / largest;
  for (let i = 0; i < width; ++i) {
    const value = get(x, i);
    let d = get(dz, i);
    if (abs<f32>(value) == largest) d -= value < 0 ? -along : along;
    set(dx, i, by * d);
  }
}

/**
 * da and db of streamGates from those of p and gates, the selection being constant. `row` is room for one
 * row. Pointers of gates and dGates of 0 stand for none.
 */
export function streamGatesGradient(
  dp: usize, dGates: usize, a: usize, b: usize, p: usize, gates: usize, da: usize, db: usize,
  rows: i32, width: i32, weightA: f32, weightB: f32, floor: f32, scratch: usize,
): void {
  const row = <usize>width << 2;
  for (; rows > 0; --rows) {
    memory.copy(scratch, dp, row);
    if (gates != 0) {
      let total: f32 = 0;
      for (let i = 0; i < width; ++i) if (get(gates, i) > 0) total += get(p, i);
      const along = dot(dGates, gates, width);
      for (let i = 0; i < width; ++i) {
        if (get(gates, i) > 0) set(scratch, i, get(scratch, i) + (get(dGates, i) - along) / total);
      }
      gates += row; dGates += row;
    }
    const along = dot(scratch, p, width);
    for (let i = 0; i < width; ++i) set(scratch, i, get(p, i) * (get(scratch, i) - along));
    streamGradient(scratch, a, da, width, weightA, floor);
    streamGradient(scratch, b, db, width, weightB, floor);
    dp += row; a += row; b += row; p += row; da += row; db += row;
  }
}
