import * as tf from '@tensorflow/tfjs-core';
import {overrideKernel, restoreKernel} from './overrides.js';

interface Heap {
  typedArrayFromHeap(info: tf.TensorInfo): tf.TypedArray;
}

function clipKernel(stock: tf.KernelFunc): tf.KernelFunc {
  return (call) => {
    const x = call.inputs.x as tf.TensorInfo;
    const out = stock(call) as tf.TensorInfo;
    const {clipValueMin: low, clipValueMax: high} = call.attrs as unknown as Record<string, number>;
    const heap = call.backend as unknown as Heap;
    const [from, to] = [heap.typedArrayFromHeap(x), heap.typedArrayFromHeap(out)];
    if (x.dtype === 'float32') {
      for (let i = 0; i < from.length; i++) if (Number.isNaN(from[i])) to[i] = Number.NaN;
    } else {
      for (let i = 0; i < from.length; i++) to[i] = Math.min(Math.max(from[i]!, low!), high!);
    }
    return out;
  };
}

/**
 * Makes the wasm backend's ClipByValue keep NaN, for which stock gives the lower bound, so that clipped gradients hide a step that went
 * wrong; and makes it right for integers, whose bits stock takes for those of floats.
 */
export function registerClip(): void {
  overrideKernel(tf.ClipByValue, clipKernel);
}

/** Puts back what {@link registerClip} replaced. */
export function unregisterClip(): void {
  restoreKernel(tf.ClipByValue);
}
