/**
 * What is left of a weight's values when a GPU keeps them as halves (float16): a few sums that rounding
 * changes little and other values change much. Many phones have such textures, and read weights back rounded,
 * so that their SHA-256 is another than the file's.
 */

const SUMS = 16;

/** The largest half; GPUs make infinities of what is above. */
const LARGEST = 65504;

/**
 * Sixteen sums, each of a sixteenth of the values with signs of their own, as float32 in hexadecimal digits.
 */
export function sketchOf(values: ArrayLike<number>): string {
  const view = new DataView(new ArrayBuffer(4 * SUMS));
  sumsOf(values).forEach((sum, i) => {
    view.setFloat32(4 * i, sum);
  });
  return Array.from(new Uint8Array(view.buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function isSketch(text: unknown): boolean {
  return typeof text === 'string' && text.length === 8 * SUMS && /^[0-9a-f]*$/.test(text);
}

/**
 * Whether values can be those of a sketch, either of them rounded to halves in whatever direction. Other
 * values pass where they differ by less than about one percent of their norm.
 */
export function fitsSketch(values: ArrayLike<number>, sketch: string): boolean {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += clamped(values[i]!) ** 2;
  // Rounding changes a value by at most 2^-10 of itself, or 2^-14 where halves are too small to be normal
  // numbers. The signs make of many such changes about as much as one in a sum; twice that leaves room.
  const room = 2 ** -9 * Math.sqrt(squares) + 2 ** -14 * (1 + Math.sqrt(values.length) / 4);
  const view = new DataView(new ArrayBuffer(4));
  return sumsOf(values).every((sum, i) => {
    view.setUint32(0, Number.parseInt(sketch.slice(8 * i, 8 * i + 8), 16));
    return Math.abs(sum - view.getFloat32(0)) <= room;
  });
}

function sumsOf(values: ArrayLike<number>): Float64Array {
  const sums = new Float64Array(SUMS);
  for (let i = 0; i < values.length; i++) {
    // A hash of the position (the finisher of MurmurHash3), so that neither sum nor
    // sign follows the layout of a weight.
    let hash = Math.imul(i ^ (i >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
    const value = clamped(values[i]!);
    sums[hash & (SUMS - 1)]! += hash & SUMS ? value : -value;
  }
  return sums;
}

function clamped(value: number): number {
  return value > LARGEST ? LARGEST : value < -LARGEST ? -LARGEST : value || 0;
}
