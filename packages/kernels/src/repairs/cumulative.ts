import * as tf from '@tensorflow/tfjs-core';
import {overrideKernel, restoreKernel} from '../kernel-overrides.js';

const KERNELS = [tf.Cumsum, tf.Cumprod];
const place = (backend: string) => ({backend, reason: 'axis'});

/** An axis counted from the end, which TensorFlow takes and tfjs's kernels look for among none: on wasm outside the tensor. */
function fromTheStart(stock: tf.KernelFunc): tf.KernelFunc {
  return (call) => {
    const {axis} = call.attrs as unknown as {axis: number};
    if (!(axis < 0)) return stock(call);
    const {shape} = call.inputs.x as tf.TensorInfo;
    const [positive] = tf.util.parseAxisParam(axis, shape);
    return stock({...call, attrs: {...call.attrs, axis: positive!}});
  };
}

/** Makes a backend's Cumsum and Cumprod take a negative axis. */
export function repairCumulative(backend: string): void {
  for (const kernel of KERNELS) overrideKernel(kernel, fromTheStart, place(backend));
}

/** Puts the stock kernels back. */
export function restoreCumulative(backend: string): void {
  for (const kernel of KERNELS) restoreKernel(kernel, place(backend));
}
