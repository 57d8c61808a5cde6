import * as tf from '@tensorflow/tfjs-core';
import {BackendError} from '../errors.js';
import {patchReasons} from '../patches.js';
import {placeOfRow, readCodes, wordsFor} from './layout.js';

/** Backends whose stock ops take integers of 32 bits as they are, and one whose kernels of ours do. */
const WHOLE = new Set(['cpu', 'wasm', 'tensorflow']);
const WHOLE_IN_OURS = 'webgpu';

/** The integers that float32 and float16 hold exactly, in bits. */
const SINGLE = 24;
const HALF = 11;

/** Whether kernels of ours, and not stock ops, read packed matrices on a backend. */
function readByOurs(backendName: string): boolean {
  const kernel = tf.getKernel('PeftPackedMatMul', backendName);
  return patchReasons(kernel?.kernelFunc).includes('fused');
}

/**
 * Whether the active backend multiplies by a prepacked kernel as it lies: wasm with the kernels of this
 * package. Elsewhere `prepack` gains nothing.
 *
 * @example
 * ```ts
 * import {readsPanels} from '@tfjs-peft/kernels';
 *
 * const pays = readsPanels();
 * ```
 */
export function readsPanels(): boolean {
  return tf.getBackend() === 'wasm' && readByOurs('wasm');
}

/**
 * How many bits of an int32 the active backend keeps: textures of webgl are floats, and stock ops of other
 * GPU backends compute with integers as float32.
 */
export function wordBitsOfBackend(): number {
  const backendName = tf.getBackend();
  if (WHOLE.has(backendName)) return 32;
  if (backendName === WHOLE_IN_OURS) return readByOurs(backendName) ? 32 : SINGLE;
  return keepsHalves() ? HALF : SINGLE;
}

/**
 * Whether the active backend computes with halves, and keeps as halves what it has computed with: webgl on
 * many phones.
 *
 * @example
 * ```ts
 * import {keepsHalves} from '@tfjs-peft/kernels';
 *
 * const tolerance = keepsHalves() ? 1e-3 : 1e-6;
 * ```
 */
export function keepsHalves(): boolean {
  // webgl says that its precision is 16 bits even where its textures are float32.
  if (tf.getBackend() === 'webgl') return !tf.env().getBool('WEBGL_RENDER_FLOAT32_ENABLED');
  try {
    return tf.backend().floatPrecision() === 16;
  } catch {
    // A backend that does not say so has no textures of halves.
    return false;
  }
}

/**
 * Throws where words are wider than the active backend keeps.
 *
 * @throws BackendError
 */
export function checkWords(what: string, wordBits: number): void {
  const most = wordBitsOfBackend();
  if (wordBits <= most) return;
  throw new BackendError(
    `${what}: the matrix is packed into words of ${wordBits} bits, of which the ${tf.getBackend()} backend ` +
      `keeps ${most}. Pack it again while that backend is active.`,
  );
}

/** Codes of [rows, columns], row-major, as words [⌈rows / perWord⌉, columns]. */
export function toWords(
  codes: ArrayLike<number>,
  [rows, columns]: readonly [number, number],
  bits: number,
  wordBits: number,
): Int32Array {
  const words = new Int32Array(wordsFor(rows, bits, wordBits) * columns);
  for (let row = 0; row < rows; row++) {
    const {from: to, shift} = placeOfRow(row, columns, {bits, wordBits});
    const from = row * columns;
    for (let column = 0; column < columns; column++) words[to + column]! |= codes[from + column]! << shift;
  }
  return words;
}

/** The inverse of {@link toWords}. */
export function fromWords(
  words: ArrayLike<number>,
  [rows, columns]: readonly [number, number],
  bits: number,
  wordBits: number,
): Uint8Array | Uint16Array {
  const codes = new (bits > 8 ? Uint16Array : Uint8Array)(rows * columns);
  for (let row = 0; row < rows; row++) readCodes(words, row, columns, {bits, wordBits}, codes, row * columns);
  return codes;
}

/** The bytes of words, the lowest of each first, as a file has them. */
export function wordBytes(words: Int32Array): Uint8Array {
  const bytes = new Uint8Array(words.length * 4);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < words.length; i++) view.setInt32(4 * i, words[i]!, true);
  return bytes;
}

/** The inverse of {@link wordBytes}, for bytes that begin anywhere. */
export function bytesAsWords(bytes: Uint8Array): Int32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const words = new Int32Array(wordsOfBytes(bytes.byteLength));
  for (let i = 0; i < words.length; i++) words[i] = view.getInt32(4 * i, true);
  return words;
}

/** How many words so many bytes are: not by a shift, which takes 2^31 for a negative number. */
export function wordsOfBytes(bytes: number): number {
  return Math.floor(bytes / 4);
}
