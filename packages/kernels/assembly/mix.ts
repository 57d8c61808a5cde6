// How a row's gates mix its h, and the gradients of that.

/** out[n, e*r+k] = h[n, e*r+k] gates[n, e], for `experts` experts of rank r side by side. */
export function mixExperts(h: usize, gates: usize, out: usize, rows: i32, experts: i32, rank: i32): void {
  for (let i = rows * experts; i > 0; --i) {
    const gate = load<f32>(gates);
    for (let k = rank; k > 0; --k) {
      store<f32>(out, load<f32>(h) * gate);
      h += 4; out += 4;
    }
    gates += 4;
  }
}

/** dh of mixExperts is dhm mixed by the same gates; dgates[n, e] is the sum over k of dhm ∘ h. */
export function mixExpertsGates(dhm: usize, h: usize, dGates: usize, rows: i32, experts: i32, rank: i32): void {
  for (let i = rows * experts; i > 0; --i) {
    let sum: f32 = 0;
    for (let k = rank; k > 0; --k) {
      sum += load<f32>(dhm) * load<f32>(h);
      dhm += 4; h += 4;
    }
    store<f32>(dGates, sum);
    dGates += 4;
  }
}

/** out[n, j] = sum over i of h[n, i] gates[n, i * width + j]. */
export function mixDense(h: usize, gates: usize, out: usize, rows: i32, rank: i32, width: i32): void {
  for (; rows > 0; --rows) {
    memory.fill(out, 0, <usize>width << 2);
    for (let i = rank; i > 0; --i) {
      axpy(load<f32>(h), gates, out, width);
      h += 4; gates += <usize>width << 2;
    }
    out += <usize>width << 2;
  }
}

/** dh[n, i] = dhm[n] · gates[n, i]; dgates[n, i, j] = h[n, i] dhm[n, j]. */
export function mixDenseGradient(
  dhm: usize, h: usize, gates: usize, dh: usize, dGates: usize, rows: i32, rank: i32, width: i32,
): void {
  const row = <usize>width << 2;
  memory.fill(dGates, 0, <usize>rows * <usize>rank * row);
  for (; rows > 0; --rows) {
    for (let i = rank; i > 0; --i) {
      store<f32>(dh, dot(dhm, gates, width));
      axpy(load<f32>(h), dhm, dGates, width);
      h += 4; dh += 4; gates += row; dGates += row;
    }
    dhm += row;
  }
}

/** out += factor * x */
function axpy(factor: f32, x: usize, out: usize, size: i32): void {
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

function dot(x: usize, y: usize, size: i32): f32 {
  let sums = f32x4.splat(0);
  for (; size >= 4; size -= 4) {
    sums = f32x4.add(sums, f32x4.mul(v128.load(x), v128.load(y)));
    x += 16; y += 16;
  }
  let sum = (f32x4.extract_lane(sums, 0) + f32x4.extract_lane(sums, 1))
    + (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3));
  for (; size > 0; --size) {
    sum += load<f32>(x) * load<f32>(y);
    x += 4; y += 4;
  }
  return sum;
}
