import type {BackendWasm} from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import {wasmPatch} from '../kernel-patches.js';
import type {AnyPatch} from '../patches.js';

interface Stored {
  dataIdMap: {get(dataId: object): {shape: number[]}};
}

/**
 * The shape that the wasm backend stores with a tensor's values: that of the tensor for which they were made.
 * Stock kernels that read it, instead of the tensor's own, do not notice a reshape.
 */
export function storedShape(backend: Stored, {dataId}: tf.TensorInfo): number[] {
  return backend.dataIdMap.get(dataId).shape;
}

/** One more tensor on the same values; the backend counts them, as it does for Reshape. */
function share(backend: BackendWasm, {dataId, shape, dtype}: tf.TensorInfo): tf.TensorInfo {
  backend.incRef(dataId);
  return {dataId, shape, dtype};
}

/**
 * Replaces the wasm backend's Identity and Cast. Every tensor that is kept for a gradient goes through
 * Identity. Stock copies it there, so that tfjs's own leak check finds more values than outputs; here both
 * share the values, as on the other backends. A cast to bool gives 0 and 1.
 */
export const SHARED_VALUES: AnyPatch[] = [
  wasmPatch(tf.Identity, 'training', (stock) => (call) => {
    const x = call.inputs.x!;
    // A copy stores its own shape, and stock FusedConv2D needs a bias whose values were made with rank 1.
    if (!tf.util.arraysEqual(storedShape(call.backend, x), x.shape)) return stock(call);
    return share(call.backend, x);
  }),
  wasmPatch<tf.CastAttrs>(tf.Cast, 'training', (stock) => (call) => {
    const x = call.inputs.x!;
    const {dtype} = call.attrs;
    if (dtype === x.dtype) return share(call.backend, x);
    const out = stock(call) as tf.TensorInfo;
    // Stock copies the number's lowest byte.
    if (dtype === 'bool') {
      const [from, to] = [call.backend.typedArrayFromHeap(x), call.backend.typedArrayFromHeap(out)];
      for (let i = 0; i < to.length; i++) to[i] = Number(from[i] !== 0);
    }
    return out;
  }),
];
