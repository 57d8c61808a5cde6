import * as tf from '@tensorflow/tfjs-core';
import {attach} from '../backends/wasm/attach.js';
import {ShapeError} from '../errors.js';
import {gradientPatch} from '../gradient-patches.js';
import {wasmPatch} from '../kernel-patches.js';
import {product} from '../ops/matmul.js';
import type {AnyPatch} from '../patches.js';

const WORDS_PER_AXIS = 3;
const WORD = 4;

/** An axis of a tiling: its size, and how often it is repeated. */
export interface TileAxis {
  size: number;
  repeats: number;
}

/**
 * The same tiling with as few axes as possible: an axis that isn't repeated joins the one before it, and an
 * axis of size 1 only multiplies the repeats of the one after it. At least one axis remains.
 */
export function mergeAxes(shape: readonly number[], reps: readonly number[]): TileAxis[] {
  const axes: TileAxis[] = [];
  shape.forEach((size, i) => {
    const last = axes[axes.length - 1];
    const repeats = reps[i]!;
    if (last === undefined) axes.push({size, repeats});
    else if (repeats === 1) last.size *= size;
    else if (last.size === 1) axes[axes.length - 1] = {size, repeats: last.repeats * repeats};
    else axes.push({size, repeats});
  });
  return axes.length === 0 ? [{size: 1, repeats: 1}] : axes;
}

const kernel = wasmPatch<tf.TileAttrs>(tf.Tile, 'training', (stock) => (call) => {
  const x = call.inputs.x!;
  const {reps} = call.attrs;
  if (x.dtype !== 'float32' && x.dtype !== 'int32' && x.dtype !== 'bool') return stock(call);
  if (reps.length !== x.shape.length || !reps.every((times) => Number.isInteger(times) && times >= 0)) {
    throw new ShapeError(
      `Tile on wasm: reps [${reps}] must be a whole number of at least 0 for each axis of x [${x.shape}].`,
    );
  }
  const wasm = attach(call.backend);
  const axes = mergeAxes(x.shape, reps);
  let entryBytes = tf.util.bytesPerElement(x.dtype);
  const words: number[] = [];
  for (const {size, repeats} of [...axes].reverse()) {
    words.unshift(size, repeats, entryBytes);
    entryBytes *= size;
  }
  const struct = wasm.scratch(axes.length * WORDS_PER_AXIS * WORD);
  const out = wasm.output(
    x.shape.map((size, i) => size * reps[i]!),
    x.dtype,
  );
  wasm.write(struct, words);
  if (tf.util.sizeFromShape(out.shape) > 0) {
    wasm.exports.tile(wasm.pointerTo(x), wasm.pointerTo(out), struct, axes.length);
  }
  return out;
});

/** The sum over the middle axis of [before, size, after]. */
function sumMiddle(t: tf.Tensor, before: number, size: number, after: number): tf.Tensor {
  // The wasm backend is fast at a product with ones; its Sum transposes first unless the axis is the last.
  if (tf.getKernel('PeftMatMul', tf.getBackend()) == null)
    return tf.sum(tf.reshape(t, [before, size, after]), 1);
  if (after === 1) return product(tf.reshape(t, [before, size]), tf.ones([size, 1]));
  const stack = before === 1 ? tf.reshape(t, [size, after]) : tf.reshape(t, [before, size, after]);
  return product(tf.ones([1, size]), stack);
}

/**
 * tf.tile's gradient as one sum per repeated axis; tfjs-core's own is one Slice and one Add per repetition.
 */
const gradient = gradientPatch<tf.TileAttrs>(
  {
    kernelName: tf.Tile,
    inputsToSave: ['x'],
    gradFunc: (dy, saved, {reps}) => {
      const {shape} = saved[0]!;
      return {
        x: () => {
          let sum = dy;
          if (sum.size === 0) return tf.zeros(shape);
          let before = 1;
          let after = sum.size;
          for (const {size, repeats} of mergeAxes(shape, reps)) {
            after /= repeats;
            if (repeats > 1) sum = sumMiddle(sum, before, repeats, after);
            before *= size;
            after /= size;
          }
          return tf.reshape(sum, shape);
        },
      };
    },
  },
  'training',
);

/** Replaces the wasm backend's Tile kernel, and on every backend tfjs-core's gradient of it. */
export const TILE: AnyPatch[] = [kernel, gradient];
