import type {BackendWasm} from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import {type Patch, type Reason, type Slot, stockOf} from './patches.js';

/** A call of a kernel of tfjs, with the attributes that this kernel has. */
export interface Call<Attrs = Record<string, unknown>, Backend = tf.KernelBackend> {
  inputs: Record<string, tf.TensorInfo>;
  attrs: Attrs;
  backend: Backend;
}

/** A kernel of tfjs, or ours in its place. */
export type Kernel<Attrs = Record<string, unknown>, Backend = tf.KernelBackend> = (
  call: Call<Attrs, Backend>,
) => tf.TensorInfo | tf.TensorInfo[];

/** Makes our kernel from the stock one, to which it can delegate. */
export type Decorator<Attrs = Record<string, unknown>, Backend = tf.KernelBackend> = (
  stock: Kernel<Attrs, Backend>,
) => Kernel<Attrs, Backend>;

/** A kernel in the registry of tfjs. */
export function kernelSlot(kernelName: string, backendName: string): Slot<tf.KernelConfig> {
  return {
    key: `kernel ${backendName}/${kernelName}`,
    read: () => tf.getKernel(kernelName, backendName),
    write: (config) => {
      // tfjs's own registerKernel prints a warning where a kernel is there already.
      if (tf.getKernel(kernelName, backendName) != null) tf.unregisterKernel(kernelName, backendName);
      if (config !== undefined) tf.registerKernel(config);
    },
    // A backend registers all its kernels when it is imported. Kernels that only this package has need not
    // wait for that.
    ready: () => kernelName.startsWith('Peft') || tf.findBackendFactory(backendName) != null,
  };
}

/** The stock kernel that ours wraps. */
export function stockKernel(kernelName: string, backendName: string): tf.KernelFunc | undefined {
  return stockOf(kernelSlot(kernelName, backendName))?.kernelFunc;
}

// tfjs has one type for the calls of all kernels; what a call really holds depends on the kernel.
const typed = <Attrs, Backend>(kernelFunc: tf.KernelFunc) => kernelFunc as unknown as Kernel<Attrs, Backend>;
const untyped = <Attrs, Backend>(kernel: Kernel<Attrs, Backend>) => kernel as unknown as tf.KernelFunc;

/**
 * A kernel that wraps the stock one of a backend. It keeps the stock set-up, since it delegates to that
 * kernel.
 */
export function kernelPatch<Attrs, Backend = tf.KernelBackend>(
  kernelName: string,
  backendName: string,
  reason: Reason,
  decorate: Decorator<Attrs, Backend>,
): Patch<tf.KernelConfig> {
  return {
    slot: kernelSlot(kernelName, backendName),
    reason,
    make: (stock) => stock && {...stock, kernelFunc: untyped(decorate(typed(stock.kernelFunc)))},
  };
}

/** A kernel that wraps the stock one of the wasm backend. */
export function wasmPatch<Attrs>(
  kernelName: string,
  reason: Reason,
  decorate: Decorator<Attrs, BackendWasm>,
): Patch<tf.KernelConfig> {
  return kernelPatch(kernelName, 'wasm', reason, decorate);
}

/** A kernel that a backend lacks, or gets so wrong that ours does not use it. */
export function suppliedKernel<Attrs, Backend = tf.KernelBackend>(
  kernelName: string,
  backendName: string,
  reason: Reason,
  kernel: Kernel<Attrs, Backend>,
): Patch<tf.KernelConfig> {
  return {
    slot: kernelSlot(kernelName, backendName),
    reason,
    make: (stock) => ({...stock, kernelName, backendName, kernelFunc: untyped(kernel)}),
  };
}
