import * as tf from '@tensorflow/tfjs-core';
import {wasmPatch} from '../kernel-patches.js';

/**
 * Makes the wasm backend's ClipByValue keep NaN, for which stock gives the lower bound, so that clipped
 * gradients hide a step that went wrong; and makes it right for integers, whose bits stock takes for those of
 * floats.
 */
export const CLIP = wasmPatch<tf.ClipByValueAttrs>(tf.ClipByValue, 'training', (stock) => (call) => {
  const x = call.inputs.x!;
  const out = stock(call) as tf.TensorInfo;
  const {clipValueMin: low, clipValueMax: high} = call.attrs;
  const [from, to] = [call.backend.typedArrayFromHeap(x), call.backend.typedArrayFromHeap(out)];
  if (x.dtype === 'float32') {
    for (let i = 0; i < from.length; i++) if (Number.isNaN(from[i])) to[i] = Number.NaN;
  } else {
    for (let i = 0; i < from.length; i++) to[i] = Math.min(Math.max(from[i]!, low), high);
  }
  return out;
});
