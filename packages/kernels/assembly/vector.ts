// Products in which one operand is a vector: bound by memory, so that the
// matrix is read once, in its own order.

/** out[i] = matrix[i, 0:k] · vector[0:k], rows of the matrix `ld` bytes apart. */
export function rowProducts(matrix: usize, ld: usize, rows: i32, k: i32, vector: usize, out: usize): void {
  const bytes = <usize>(k & ~3) << 2;
  for (; rows > 0; rows -= 4) {
    const p1 = rows > 1 ? matrix + ld : matrix;
    const p2 = rows > 2 ? matrix + 2 * ld : matrix;
    const p3 = rows > 3 ? matrix + 3 * ld : matrix;
    let s0 = f32x4.splat(0), s1 = f32x4.splat(0), s2 = f32x4.splat(0), s3 = f32x4.splat(0);
    for (let at: usize = 0; at < bytes; at += 16) {
      const v = v128.load(vector + at);
      s0 = f32x4.add(s0, f32x4.mul(v, v128.load(matrix + at)));
      s1 = f32x4.add(s1, f32x4.mul(v, v128.load(p1 + at)));
      s2 = f32x4.add(s2, f32x4.mul(v, v128.load(p2 + at)));
      s3 = f32x4.add(s3, f32x4.mul(v, v128.load(p3 + at)));
    }
    let r0 = laneSum(s0), r1 = laneSum(s1), r2 = laneSum(s2), r3 = laneSum(s3);
    for (let at = bytes; at < <usize>k << 2; at += 4) {
      const v = load<f32>(vector + at);
      r0 += v * load<f32>(matrix + at);
      r1 += v * load<f32>(p1 + at);
      r2 += v * load<f32>(p2 + at);
      r3 += v * load<f32>(p3 + at);
    }
    store<f32>(out, r0);
    if (rows > 1) store<f32>(out, r1, 4);
    if (rows > 2) store<f32>(out, r2, 8);
    if (rows > 3) store<f32>(out, r3, 12);
    matrix += 4 * ld;
    out += 16;
  }
}

/** out[0:n] = the sum over p of vector[p] matrix[p, 0:n], summed in the order of p as the microkernels do. */
export function rowSum(vector: usize, matrix: usize, ld: usize, k: i32, n: i32, out: usize): void {
  memory.fill(out, 0, <usize>n << 2);
  for (; k >= 4; k -= 4) {
    const v0 = v128.load32_splat(vector), v1 = v128.load32_splat(vector, 4);
    const v2 = v128.load32_splat(vector, 8), v3 = v128.load32_splat(vector, 12);
    let p = matrix, o = out, left = n;
    for (; left >= 4; left -= 4) {
      let sum = f32x4.add(v128.load(o), f32x4.mul(v0, v128.load(p)));
      sum = f32x4.add(sum, f32x4.mul(v1, v128.load(p + ld)));
      sum = f32x4.add(sum, f32x4.mul(v2, v128.load(p + 2 * ld)));
      sum = f32x4.add(sum, f32x4.mul(v3, v128.load(p + 3 * ld)));
      v128.store(o, sum);
      p += 16; o += 16;
    }
    for (; left > 0; --left) {
      let sum = load<f32>(o) + load<f32>(vector) * load<f32>(p);
      sum += load<f32>(vector, 4) * load<f32>(p + ld);
      sum += load<f32>(vector, 8) * load<f32>(p + 2 * ld);
      sum += load<f32>(vector, 12) * load<f32>(p + 3 * ld);
      store<f32>(o, sum);
      p += 4; o += 4;
    }
    vector += 16;
    matrix += 4 * ld;
  }
  for (; k > 0; --k) {
    addScaled(load<f32>(vector), matrix, out, n);
    vector += 4;
    matrix += ld;
  }
}

/** out += factor * x */
export function addScaled(factor: f32, x: usize, out: usize, size: i32): void {
  const f = f32x4.splat(factor);
  for (; size >= 4; size -= 4) {
    v128.store(out, f32x4.add(v128.load(out), f32x4.mul(f, v128.load(x))));
    x += 16; out += 16;
  }
  for (; size > 0; --size) {
    store<f32>(out, load<f32>(out) + factor * load<f32>(x));
    x += 4; out += 4;
  }
}

/** The scalar product of two vectors. */
export function dot(x: usize, y: usize, size: i32): f32 {
  let sums = f32x4.splat(0);
  for (; size >= 4; size -= 4) {
    sums = f32x4.add(sums, f32x4.mul(v128.load(x), v128.load(y)));
    x += 16; y += 16;
  }
  let sum = laneSum(sums);
  for (; size > 0; --size) {
    sum += load<f32>(x) * load<f32>(y);
    x += 4; y += 4;
  }
  return sum;
}

/** The sum of a vector. */
export function sum(x: usize, size: i32): f32 {
  let sums = f32x4.splat(0);
  for (; size >= 4; size -= 4) {
    sums = f32x4.add(sums, v128.load(x));
    x += 16;
  }
  let total = laneSum(sums);
  for (; size > 0; --size) {
    total += load<f32>(x);
    x += 4;
  }
  return total;
}

// @ts-ignore: decorator
@inline
export function laneSum(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}
