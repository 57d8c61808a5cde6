// The microkernels. Eight accumulators are as many as V8 keeps in registers: larger tiles,
// or an unrolled loop, spill and run at half the speed. Each element is summed in the order
// of k in both, so their bits agree.

/**
 * s · b + c; in one rounding where the module is built for relaxed SIMD, and the
 * processor has such an instruction.
 */
// @ts-ignore: decorator
@inline
function multiplyAdd(s: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(s, b, c);
  return f32x4.add(c, f32x4.mul(s, b));
}

/** Columns of the wide tile, and bytes of a row of it. */
export const WIDE = 16;
export const WIDE_ROW: usize = 64;

/**
 * dst[0:2, 0:16] = x[0:2, 0:k] · q[0:k, 0:16] + h[0:2, 0:r] · g[0:r, 0:16], in one set of accumulators.
 *
 * Rows of x and h are `ldx` and `ldh` bytes apart; rows of q and g `ldq` and `ldg` bytes, so
 * both packed panels (64) and plain matrices serve. With 1 row the other repeats it, so dst must
 * have room for 2 rows all the same.
 */
export function block2x16(
  rows: i32,
  x: usize, ldx: usize, k: i32, q: usize, ldq: usize,
  h: usize, ldh: usize, r: i32, g: usize, ldg: usize,
  dst: usize, ldd: usize,
): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c02 = f32x4.splat(0), c03 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0), c12 = f32x4.splat(0), c13 = f32x4.splat(0);
  let p0 = x;
  let p1 = rows > 1 ? x + ldx : x;
  let end = p0 + (<usize>k << 2);
  while (p0 < end) {
    const b0 = v128.load(q), b1 = v128.load(q, 16), b2 = v128.load(q, 32), b3 = v128.load(q, 48);
    let s = v128.load32_splat(p0);
    c00 = multiplyAdd(s, b0, c00); c01 = multiplyAdd(s, b1, c01);
    c02 = multiplyAdd(s, b2, c02); c03 = multiplyAdd(s, b3, c03);
    s = v128.load32_splat(p1);
    c10 = multiplyAdd(s, b0, c10); c11 = multiplyAdd(s, b1, c11);
    c12 = multiplyAdd(s, b2, c12); c13 = multiplyAdd(s, b3, c13);
    q += ldq; p0 += 4; p1 += 4;
  }
  if (r > 0) {
    p0 = h;
    p1 = rows > 1 ? h + ldh : h;
    end = p0 + (<usize>r << 2);
    while (p0 < end) {
      const b0 = v128.load(g), b1 = v128.load(g, 16), b2 = v128.load(g, 32), b3 = v128.load(g, 48);
      let s = v128.load32_splat(p0);
      c00 = multiplyAdd(s, b0, c00); c01 = multiplyAdd(s, b1, c01);
      c02 = multiplyAdd(s, b2, c02); c03 = multiplyAdd(s, b3, c03);
      s = v128.load32_splat(p1);
      c10 = multiplyAdd(s, b0, c10); c11 = multiplyAdd(s, b1, c11);
      c12 = multiplyAdd(s, b2, c12); c13 = multiplyAdd(s, b3, c13);
      g += ldg; p0 += 4; p1 += 4;
    }
  }
  v128.store(dst, c00); v128.store(dst, c01, 16);
  v128.store(dst, c02, 32); v128.store(dst, c03, 48);
  dst += ldd;
  v128.store(dst, c10); v128.store(dst, c11, 16);
  v128.store(dst, c12, 32); v128.store(dst, c13, 48);
}

/**
 * dst[0:4, 0:8] = x[0:4, 0:k] · q[0:k, 0:8], for the last columns where at most 8 remain. With fewer than 4
 * `rows` the others repeat row 0.
 */
export function block4x8(
  rows: i32, x: usize, ldx: usize, k: i32, q: usize, ldq: usize, dst: usize, ldd: usize,
): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  let p0 = x;
  let p1 = rows > 1 ? x + ldx : x;
  let p2 = rows > 2 ? x + 2 * ldx : x;
  let p3 = rows > 3 ? x + 3 * ldx : x;
  const end = p0 + (<usize>k << 2);
  while (p0 < end) {
    const b0 = v128.load(q), b1 = v128.load(q, 16);
    let s = v128.load32_splat(p0);
    c00 = multiplyAdd(s, b0, c00); c01 = multiplyAdd(s, b1, c01);
    s = v128.load32_splat(p1);
    c10 = multiplyAdd(s, b0, c10); c11 = multiplyAdd(s, b1, c11);
    s = v128.load32_splat(p2);
    c20 = multiplyAdd(s, b0, c20); c21 = multiplyAdd(s, b1, c21);
    s = v128.load32_splat(p3);
    c30 = multiplyAdd(s, b0, c30); c31 = multiplyAdd(s, b1, c31);
    q += ldq; p0 += 4; p1 += 4; p2 += 4; p3 += 4;
  }
  v128.store(dst, c00); v128.store(dst, c01, 16);
  dst += ldd;
  v128.store(dst, c10); v128.store(dst, c11, 16);
  dst += ldd;
  v128.store(dst, c20); v128.store(dst, c21, 16);
  dst += ldd;
  v128.store(dst, c30); v128.store(dst, c31, 16);
}
