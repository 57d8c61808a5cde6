import * as tf from '@tensorflow/tfjs-core';
import {overrideKernel, restoreKernel} from './overrides.js';

interface Stored {
  dataIdMap: {get(dataId: object): {shape: number[]}};
}

/**
 * The shape that the wasm backend has on file for a tensor's values: that of the tensor which they were made for. Stock kernels that
 * ask for it, instead of the tensor's own, see through a reshape.
 */
export function storedShape(backend: unknown, {dataId}: tf.TensorInfo): number[] {
  return (backend as Stored).dataIdMap.get(dataId).shape;
}

/** One more tensor on the same values; the backend counts them, as it does for Reshape. */
function share(backend: unknown, {dataId, shape, dtype}: tf.TensorInfo): tf.TensorInfo {
  (backend as tf.KernelBackend).incRef(dataId);
  return {dataId, shape, dtype};
}

function identityKernel(stock: tf.KernelFunc): tf.KernelFunc {
  return (call) => {
    const x = call.inputs.x as tf.TensorInfo;
    // A copy has its own shape on file, and stock FusedConv2D wants a bias whose values were made with rank 1.
    if (!tf.util.arraysEqual(storedShape(call.backend, x), x.shape)) return stock(call);
    return share(call.backend, x);
  };
}

function castKernel(stock: tf.KernelFunc): tf.KernelFunc {
  return (call) => {
    const x = call.inputs.x as tf.TensorInfo;
    const {dtype} = call.attrs as unknown as {dtype: tf.DataType};
    if (dtype === x.dtype) return share(call.backend, x);
    const out = stock(call) as tf.TensorInfo;
    // Stock copies the number's lowest byte.
    if (dtype === 'bool') {
      const backend = call.backend as unknown as {typedArrayFromHeap(info: tf.TensorInfo): tf.TypedArray};
      const [from, to] = [backend.typedArrayFromHeap(x), backend.typedArrayFromHeap(out)];
      for (let i = 0; i < to.length; i++) to[i] = Number(from[i] !== 0);
    }
    return out;
  };
}

/**
 * Replaces the wasm backend's Identity and Cast. Every tensor that is kept for a gradient goes through Identity, which in stock
 * copies it, and leaves tfjs's own leak check to find more values than there are outputs; here both share the values, as
 * on the other backends, and a cast to bool gives 0 and 1.
 */
export function registerSharedValues(): void {
  overrideKernel(tf.Identity, identityKernel);
  overrideKernel(tf.Cast, castKernel);
}

/** Puts back what {@link registerSharedValues} replaced. */
export function unregisterSharedValues(): void {
  restoreKernel(tf.Identity);
  restoreKernel(tf.Cast);
}
