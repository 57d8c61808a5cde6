/** A row's mean, and what its deviations are multiplied by. */
function moments(x: Float32Array, epsilon: number): {mean: number; factor: number} {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]!;
  const mean = sum / x.length;
  let squares = 0;
  for (let i = 0; i < x.length; i++) squares += (x[i]! - mean) ** 2;
  return {mean, factor: 1 / Math.sqrt(squares / x.length + epsilon)};
}

/** Layer normalization of rows as wide as `width`; see `layerNorm` in ops/layer-norm.ts. */
export function normalizedRows(
  {x, gamma, beta}: {x: Float32Array; gamma?: Float32Array; beta?: Float32Array},
  width: number,
  epsilon: number,
): Float32Array {
  const out = new Float32Array(x.length);
  for (let at = 0; at < x.length; at += width) {
    const row = x.subarray(at, at + width);
    const {mean, factor} = moments(row, epsilon);
    for (let i = 0; i < width; i++) {
      out[at + i] = (row[i]! - mean) * factor * (gamma === undefined ? 1 : gamma[i]!) + (beta?.[i] ?? 0);
    }
  }
  return out;
}

/** The gradient of its x. */
export function normalizedRowsGradient(
  {dy, x, gamma}: {dy: Float32Array; x: Float32Array; gamma?: Float32Array},
  width: number,
  epsilon: number,
): Float32Array {
  const out = new Float32Array(x.length);
  for (let at = 0; at < x.length; at += width) {
    const row = x.subarray(at, at + width);
    const {mean, factor} = moments(row, epsilon);
    let total = 0;
    let along = 0;
    for (let i = 0; i < width; i++) {
      const d = dy[at + i]! * (gamma === undefined ? 1 : gamma[i]!);
      total += d;
      along += d * (row[i]! - mean) * factor;
      out[at + i] = d;
    }
    for (let i = 0; i < width; i++) {
      const n = (row[i]! - mean) * factor;
      out[at + i] = (out[at + i]! - total / width - (n * along) / width) * factor;
    }
  }
  return out;
}
