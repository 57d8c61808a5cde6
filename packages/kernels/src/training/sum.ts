import * as tf from '@tensorflow/tfjs-core';
import {attach} from '../backends/wasm/attach.js';
import {columnSums} from '../backends/wasm/column-sum.js';
import {overrideKernel, restoreKernel} from './overrides.js';

function sumKernel(stock: tf.KernelFunc): tf.KernelFunc {
  return (call) => {
    const x = call.inputs.x as tf.TensorInfo;
    const {axis, keepDims} = call.attrs as unknown as {axis: number | number[]; keepDims: boolean};
    const axes = [...tf.util.parseAxisParam(axis, x.shape)].sort((a, b) => a - b);
    const leading = axes.length < x.shape.length && axes.every((at, i) => at === i);
    if (x.dtype !== 'float32' || axes.length === 0 || !leading) return stock(call);
    const kept = x.shape.slice(axes.length);
    const sizes: [number, number] = [
      tf.util.sizeFromShape(x.shape.slice(0, axes.length)),
      tf.util.sizeFromShape(kept),
    ];
    const out = columnSums(attach(call.backend as tf.KernelBackend), {a: x}, sizes);
    return {...out, shape: keepDims ? [...axes.map(() => 1), ...kept] : kept};
  };
}

/**
 * Makes the wasm backend's Sum over leading axes, which is the gradient of whatever was broadcast over a batch, one pass; stock transposes
 * first.
 */
export function registerSum(): void {
  overrideKernel(tf.Sum, sumKernel);
}

/** Puts the stock Sum back. */
export function unregisterSum(): void {
  restoreKernel(tf.Sum);
}
