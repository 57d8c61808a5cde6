// Sums over the rows of a matrix, which is read once and in its own order; the sums stay in the cache.

// @ts-ignore: decorator
@inline
function factor(a: usize, b: usize): v128 {
  return b == 0 ? v128.load(a) : f32x4.mul(v128.load(a), v128.load(b));
}

/** out[j] = the sum over i of a[i, j], or of a[i, j] b[i, j] where b is not 0. */
export function columnSum(a: usize, b: usize, out: usize, rows: i32, width: i32): void {
  const row = <usize>width << 2;
  memory.fill(out, 0, row);
  for (; rows > 0; --rows) {
    let to = out, left = width, p = a, q = b;
    for (; left >= 4; left -= 4) {
      v128.store(to, f32x4.add(v128.load(to), factor(p, q)));
      to += 16; p += 16;
      if (b != 0) q += 16;
    }
    for (; left > 0; --left) {
      store<f32>(to, load<f32>(to) + load<f32>(p) * (b == 0 ? 1 : load<f32>(q)));
      to += 4; p += 4;
      if (b != 0) q += 4;
    }
    a += row;
    if (b != 0) b += row;
  }
}
