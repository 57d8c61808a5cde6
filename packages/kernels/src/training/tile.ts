import * as tf from '@tensorflow/tfjs-core';
import {attach} from '../backends/wasm/attach.js';
import {ShapeError} from '../errors.js';
import {MATMUL} from '../kernel-registry.js';
import {product} from '../ops/matmul.js';
import {overrideGradient, overrideKernel, restoreGradient, restoreKernel} from './overrides.js';
import {mergeAxes} from './tile-axes.js';

const WORDS_PER_AXIS = 3;
const WORD = 4;

function tileKernel(stock: tf.KernelFunc): tf.KernelFunc {
  return (call) => {
    const {inputs, attrs, backend} = call;
    const x = inputs.x as tf.TensorInfo;
    const {reps} = attrs as unknown as {reps: number[]};
    if (x.dtype !== 'float32' && x.dtype !== 'int32' && x.dtype !== 'bool') return stock(call);
    if (reps.length !== x.shape.length || !reps.every((times) => Number.isInteger(times) && times >= 0)) {
      throw new ShapeError(
        `Tile on wasm: reps [${reps}] must be a whole number of at least 0 for each axis of x [${x.shape}].`,
      );
    }
    const wasm = attach(backend as tf.KernelBackend);
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
  };
}

/** The sum over the middle axis of [before, size, after]. */
function sumMiddle(t: tf.Tensor, before: number, size: number, after: number): tf.Tensor {
  // A product with ones is what the wasm backend is fast at; its Sum transposes first unless the axis is the last.
  if (tf.getKernel(MATMUL, tf.getBackend()) == null) return tf.sum(tf.reshape(t, [before, size, after]), 1);
  if (after === 1) return product(tf.reshape(t, [before, size]), tf.ones([size, 1]));
  const stack = before === 1 ? tf.reshape(t, [size, after]) : tf.reshape(t, [before, size, after]);
  return product(tf.ones([1, size]), stack);
}

/** tf.tile's gradient as one sum per repeated axis; tfjs-core's own is one Slice and one Add per repetition. */
const tileGradient: tf.GradConfig = {
  kernelName: tf.Tile,
  inputsToSave: ['x'],
  gradFunc: (dy, saved, attrs) => {
    const {shape} = saved[0]!;
    const {reps} = attrs as unknown as {reps: number[]};
    return {
      x: () => {
        let sum = dy as tf.Tensor;
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
};

/** Replaces the wasm backend's Tile kernel, and on every backend tfjs-core's gradient of it. */
export function registerTile(): void {
  overrideKernel(tf.Tile, tileKernel);
  overrideGradient(tileGradient);
}

/** Puts back what {@link registerTile} replaced. */
export function unregisterTile(): void {
  restoreKernel(tf.Tile);
  restoreGradient(tf.Tile);
}
