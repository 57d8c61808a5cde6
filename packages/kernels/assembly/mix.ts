// How a row's gates mix its h, and the gradients of that.
import {addScaled, dot} from './vector';

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
      addScaled(load<f32>(h), gates, out, width);
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
      addScaled(load<f32>(h), dhm, dGates, width);
      h += 4; dh += 4; gates += row; dGates += row;
    }
    dhm += row;
  }
}
