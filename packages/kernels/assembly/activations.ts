// Activations on four lanes, from polynomials: AssemblyScript's Mathf would bring tables in a data section,
// which would be copied over tfjs's own static data.

/** The order is that of ACTIVATIONS in src/types.ts. */
export const LINEAR = 0;
const RELU = 1;
const RELU6 = 2;
const ELU = 3;
const TANH = 4;
const SIGMOID = 5;
const SILU = 6;
const GELU = 7;
const GELU_TANH = 8;

// @ts-ignore: decorator
@inline
function splat(x: f32): v128 {
  return f32x4.splat(x);
}

// @ts-ignore: decorator
@inline
function multiplyAdd(a: v128, b: v128, c: f32): v128 {
  return f32x4.add(f32x4.mul(a, b), splat(c));
}

/** 2^n for whole n. */
// @ts-ignore: decorator
@inline
function power(n: v128): v128 {
  return i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
}

// @ts-ignore: decorator
@inline
function clampExponent(x: v128): v128 {
  return f32x4.min(f32x4.max(x, splat(-80)), splat(80));
}

/** The nearest whole n to x / ln 2. */
// @ts-ignore: decorator
@inline
function octaves(x: v128): v128 {
  return f32x4.nearest(f32x4.mul(x, splat(1.44269504)));
}

/** e^r - 1 for r = x - n ln 2, |r| <= ln 2 / 2: a polynomial fitted at Chebyshev nodes, error below 2e-10. */
// @ts-ignore: decorator
@inline
function restMinus1(x: v128, n: v128): v128 {
  // ln 2 in two parts, the first with so few bits that n times it is exact.
  const r = f32x4.sub(f32x4.sub(x, f32x4.mul(n, splat(0.693359375))), f32x4.mul(n, splat(-2.12194440e-4)));
  let p = multiplyAdd(splat(0.000198910798644647), r, 0.0013933731243014336);
  p = multiplyAdd(p, r, 0.00833331048488617);
  p = multiplyAdd(p, r, 0.041666463017463684);
  p = multiplyAdd(p, r, 0.1666666716337204);
  p = multiplyAdd(p, r, 0.5);
  return f32x4.add(r, f32x4.mul(f32x4.mul(r, r), p));
}

/**
 * e^x, to 1e-7 relative. It saturates beyond e^-80 and e^80, so that what is made of it is no subnormal
 * number, on which a CPU takes a hundred times as long.
 */
// @ts-ignore: decorator
@inline
export function exponential(x: v128): v128 {
  x = clampExponent(x);
  const n = octaves(x);
  const s = power(n);
  return f32x4.add(f32x4.mul(restMinus1(x, n), s), s);
}

/** e^x - 1, without cancellation near 0. */
// @ts-ignore: decorator
@inline
function exponentialMinus1(x: v128): v128 {
  x = clampExponent(x);
  const n = octaves(x);
  const s = power(n);
  return f32x4.add(f32x4.mul(restMinus1(x, n), s), f32x4.sub(s, splat(1)));
}

// @ts-ignore: decorator
@inline
function tanh(x: v128): v128 {
  // Beyond 10 it is 1 in float32, and e^2x could overflow.
  const clamped = f32x4.min(f32x4.max(x, splat(-10)), splat(10));
  const e = exponentialMinus1(f32x4.add(clamped, clamped));
  return f32x4.div(e, f32x4.add(e, splat(2)));
}

// @ts-ignore: decorator
@inline
function sigmoid(x: v128): v128 {
  const s = f32x4.div(splat(1), f32x4.add(splat(1), exponential(f32x4.neg(x))));
  return v128.andnot(s, f32x4.lt(x, splat(-80)));
}

/** e^(-x^2 / 2), of which both the normal distribution and its density are made. */
// @ts-ignore: decorator
@inline
function bell(x: v128): v128 {
  const exponent = f32x4.mul(f32x4.mul(x, x), splat(-0.5));
  return v128.andnot(exponential(exponent), f32x4.lt(exponent, splat(-80)));
}

/**
 * The normal distribution from bell(x): its upper tail is bell(x) Q(1 / (1 + 0.35 |x| / sqrt 2)) / 2, with a
 * polynomial Q fitted at Chebyshev nodes (error of the product below 5e-8).
 */
// @ts-ignore: decorator
@inline
function cumulative(x: v128, e: v128): v128 {
  const u = f32x4.div(splat(1), multiplyAdd(f32x4.abs(x), splat(0.24748737), 1));
  let q = multiplyAdd(splat(-0.21498993039131165), u, 0.8568280339241028);
  q = multiplyAdd(q, u, -0.8571320176124573);
  q = multiplyAdd(q, u, 0.8852421045303345);
  q = multiplyAdd(q, u, -0.14214500784873962);
  q = multiplyAdd(q, u, 0.2877506613731384);
  q = multiplyAdd(q, u, 0.18351975083351135);
  q = multiplyAdd(q, u, 0.0009263607789762318);
  const tail = f32x4.mul(f32x4.mul(e, splat(0.5)), q);
  return v128.bitselect(tail, f32x4.sub(splat(1), tail), f32x4.lt(x, splat(0)));
}

/**
 * sqrt(2 / pi) (x + 0.044715 x^3), the argument of the tanh in gelu's
 * approximation (Hendrycks and Gimpel 2016).
 */
// @ts-ignore: decorator
@inline
function geluArgument(x: v128): v128 {
  return f32x4.mul(f32x4.mul(x, splat(0.79788456)), multiplyAdd(f32x4.mul(x, x), splat(0.044715), 1));
}

/** act(x) on four lanes. Inlined with a constant activation, of which only that one's case remains. */
// @ts-ignore: decorator
@inline
function activate(x: v128, activation: i32): v128 {
  switch (activation) {
    case RELU:
      return f32x4.max(x, splat(0));
    case RELU6:
      return f32x4.min(f32x4.max(x, splat(0)), splat(6));
    case ELU:
      return v128.bitselect(x, exponentialMinus1(f32x4.min(x, splat(0))), f32x4.ge(x, splat(0)));
    case TANH:
      return tanh(x);
    case SIGMOID:
      return sigmoid(x);
    case SILU:
      return f32x4.mul(x, sigmoid(x));
    case GELU:
      return f32x4.mul(x, cumulative(x, bell(x)));
    case GELU_TANH:
      return f32x4.mul(x, multiplyAdd(tanh(geluArgument(x)), splat(0.5), 0.5));
    default:
      return x;
  }
}

// @ts-ignore: decorator
@inline
function activateAll(x: usize, end: usize, activation: i32): void {
  for (; x < end; x += 16) v128.store(x, activate(v128.load(x), activation));
}

/** x = act(x) from `x` to `end`, a multiple of 4 floats. */
export function activateInPlace(x: usize, end: usize, activation: i32): void {
  switch (activation) {
    case RELU: activateAll(x, end, RELU); break;
    case RELU6: activateAll(x, end, RELU6); break;
    case ELU: activateAll(x, end, ELU); break;
    case TANH: activateAll(x, end, TANH); break;
    case SIGMOID: activateAll(x, end, SIGMOID); break;
    case SILU: activateAll(x, end, SILU); break;
    case GELU: activateAll(x, end, GELU); break;
    case GELU_TANH: activateAll(x, end, GELU_TANH); break;
  }
}

/**
 * act' from the output for relu, relu6, elu, tanh and sigmoid, from the input for silu, gelu and geluTanh.
 */
function derivative(ref: v128, activation: i32): v128 {
  const one = splat(1);
  switch (activation) {
    case RELU:
      return v128.and(one, f32x4.gt(ref, splat(0)));
    case RELU6:
      return v128.and(one, v128.and(f32x4.gt(ref, splat(0)), f32x4.lt(ref, splat(6))));
    case ELU:
      return v128.bitselect(one, f32x4.add(ref, one), f32x4.ge(ref, splat(0)));
    case TANH:
      return f32x4.sub(one, f32x4.mul(ref, ref));
    case SIGMOID:
      return f32x4.mul(ref, f32x4.sub(one, ref));
    case SILU: {
      const s = sigmoid(ref);
      return f32x4.mul(s, multiplyAdd(ref, f32x4.sub(one, s), 1));
    }
    case GELU: {
      const e = bell(ref);
      return f32x4.add(cumulative(ref, e), f32x4.mul(ref, f32x4.mul(e, splat(0.39894228))));
    }
    case GELU_TANH: {
      const t = tanh(geluArgument(ref));
      const slope = f32x4.mul(multiplyAdd(f32x4.mul(ref, ref), splat(0.134145), 1), splat(0.79788456));
      const rest = f32x4.mul(f32x4.mul(f32x4.mul(ref, splat(0.5)), f32x4.sub(one, f32x4.mul(t, t))), slope);
      return f32x4.add(multiplyAdd(t, splat(0.5), 0.5), rest);
    }
    default:
      return one;
  }
}

/** out = dy ∘ act'(ref), `size` floats. */
export function activationGradient(dy: usize, ref: usize, out: usize, size: i32, activation: i32): void {
  for (; size >= 4; size -= 4) {
    v128.store(out, f32x4.mul(v128.load(dy), derivative(v128.load(ref), activation)));
    dy += 16; ref += 16; out += 16;
  }
  for (; size > 0; --size) {
    const slope = derivative(v128.load32_splat(ref), activation);
    store<f32>(out, load<f32>(dy) * f32x4.extract_lane(slope, 0));
    dy += 4; ref += 4; out += 4;
  }
}
