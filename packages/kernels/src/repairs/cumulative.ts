import * as tf from '@tensorflow/tfjs-core';
import {type Decorator, kernelPatch} from '../kernel-patches.js';
import type {AnyPatch} from '../patches.js';

/**
 * An axis counted from the end, which TensorFlow accepts. tfjs's kernels do not resolve it: on wasm they look
 * outside the tensor.
 */
const fromTheStart: Decorator<{axis: number}> = (stock) => (call) => {
  const {axis} = call.attrs;
  if (!(axis < 0)) return stock(call);
  const [positive] = tf.util.parseAxisParam(axis, call.inputs.x!.shape);
  return stock({...call, attrs: {...call.attrs, axis: positive!}});
};

/** Makes a backend's Cumsum and Cumprod take a negative axis. */
export const cumulativeRepairs = (backend: string): AnyPatch[] =>
  [tf.Cumsum, tf.Cumprod].map((kernel) => kernelPatch(kernel, backend, 'axis', fromTheStart));
