import type {KernelFunc} from '@tensorflow/tfjs-core';
import {shared} from './shared.js';

/** Kernels of the wasm backend that ours have replaced, by name: what still needs the stock one finds it here. */
const replaced = shared('kernels.stock', () => new Map<string, KernelFunc>());

export function stockKernel(kernelName: string): KernelFunc | undefined {
  return replaced.get(kernelName);
}

/** Says which stock kernel ours stands in front of; undefined once it is back in its place. */
export function noteStockKernel(kernelName: string, kernel: KernelFunc | undefined): void {
  if (kernel === undefined) replaced.delete(kernelName);
  else replaced.set(kernelName, kernel);
}
