import * as tf from '@tensorflow/tfjs-core';

/** Which token decides for a window: its own last one, or the last one of the window before it. */
export type Anchor = 'last' | 'previous';

export const ANCHORS = ['last', 'previous'] as const satisfies Anchor[];

/**
 * The tokens that decide for the windows of n tokens each, [..., windows, d] of `tokens` [..., T, d]:
 * positions n-1, 2n-1, ... and, for a shorter last window, T-1. With `previous`, each window takes the
 * position before its first, and the first window its own first token, so that nothing after a token reaches
 * it.
 *
 * With a mask, [..., T], of 1 for real tokens, the last real one of those positions decides; where there is
 * none, the position does.
 */
export function anchorsOf(tokens: tf.Tensor, n: number, anchor: Anchor, mask?: tf.Tensor): tf.Tensor {
  const {outer, length, width} = sizes(tokens);
  const windows = Math.ceil(length / n);
  const flat = tf.reshape(tokens, [outer, length, width]) as tf.Tensor3D;
  if (mask !== undefined) {
    const real = lastReal(flat, tf.reshape(mask, [outer, length]), n);
    const before = () => tf.slice(real, [0, 0, 0], [outer, windows - 1, width]);
    const rows =
      anchor === 'last' ? real : tf.concat([tf.slice(flat, [0, 0, 0], [outer, 1, width]), before()], 1);
    return tf.reshape(rows, [...tokens.shape.slice(0, -2), windows, width]);
  }
  const wanted = anchor === 'last' ? windows : windows - 1;
  const whole = Math.min(wanted, Math.floor(length / n));
  const parts: tf.Tensor3D[] = [];
  if (anchor === 'previous') parts.push(tf.slice(flat, [0, 0, 0], [outer, 1, width]));
  if (whole > 0) {
    const head = tf.slice(flat, [0, 0, 0], [outer, whole * n, width]);
    const ends = tf.slice(
      tf.reshape(head, [outer * whole, n, width]),
      [0, n - 1, 0],
      [outer * whole, 1, width],
    );
    parts.push(tf.reshape(ends, [outer, whole, width]));
  }
  if (wanted > whole) parts.push(tf.slice(flat, [0, length - 1, 0], [outer, 1, width]));
  const joined = parts.length === 1 ? parts[0]! : tf.concat(parts, 1);
  return tf.reshape(joined, [...tokens.shape.slice(0, -2), windows, width]);
}

/** One row for each of `length` tokens from one row per window of n: the inverse of {@link anchorsOf}. */
export function spreadOver(windows: tf.Tensor, n: number, length: number): tf.Tensor {
  const {outer, length: count, width} = sizes(windows);
  const repeated = tf.tile(tf.reshape(windows, [outer * count, 1, width]), [1, n, 1]);
  const long = tf.reshape(repeated, [outer, count * n, width]);
  const cut = count * n === length ? long : tf.slice(long, [0, 0, 0], [outer, length, width]);
  return tf.reshape(cut, [...windows.shape.slice(0, -2), length, width]);
}

function sizes({shape}: tf.Tensor): {outer: number; length: number; width: number} {
  return {
    outer: shape.slice(0, -2).reduce((product, size) => product * size, 1),
    length: shape[shape.length - 2]!,
    width: shape[shape.length - 1]!,
  };
}

/**
 * The last real token of each window, or its last one where none is real: [outer, windows, width] of `tokens`
 * [outer, T, width].
 */
function lastReal(tokens: tf.Tensor3D, mask: tf.Tensor, n: number): tf.Tensor3D {
  const [outer, length, width] = tokens.shape;
  const windows = Math.ceil(length / n);
  const missing = windows * n - length;
  const padded = tf.pad(tokens, [
    [0, 0],
    [0, missing],
    [0, 0],
  ]);
  // Scores grow with the place in the window; those of real tokens are above the others', those of no tokens
  // below.
  const places = Array.from({length}, (_, t) => (t % n) + 1);
  const scores = tf.pad(tf.add(tf.mul(mask, n + 1), tf.tensor1d(places)), [
    [0, 0],
    [0, missing],
  ]);
  const byWindow = tf.reshape(scores, [outer * windows, 1, n]);
  const chosen = tf.cast(tf.equal(byWindow, tf.max(byWindow, -1, true)), 'float32') as tf.Tensor3D;
  const rows = tf.matMul(chosen, tf.reshape(padded, [outer * windows, n, width]) as tf.Tensor3D);
  return tf.reshape(rows, [outer, windows, width]);
}
