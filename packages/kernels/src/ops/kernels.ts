import * as tf from '@tensorflow/tfjs-core';
import {registerPeftKernels} from '../kernel-registry.js';
import {composedKernels} from './composed/index.js';

const FUSED = new Set(['cpu', 'wasm', 'webgl', 'webgpu']);
const warned = new Set<string>();

/** Makes sure that the active backend can run `kernelName`: where it has no kernel of ours, the composed one is registered. */
function ensureKernel(kernelName: string): void {
  const backendName = tf.getBackend();
  if (tf.getKernel(kernelName, backendName) != null) return;
  if (FUSED.has(backendName) && !warned.has(backendName)) {
    warned.add(backendName);
    console.warn(
      `tfjs-peft: the fused kernels of the ${backendName} backend are not registered, so stock ops do their work, slowly. ` +
        `Add: import '@tfjs-peft/kernels/auto'`,
    );
  }
  const missing = Object.entries(composedKernels).filter(([name]) => tf.getKernel(name, backendName) == null);
  registerPeftKernels(backendName, Object.fromEntries(missing));
}

/** Runs a kernel of ours on the active backend, through the gradient tape if one is recording. */
export function runPeftKernel<T extends tf.Tensor | tf.Tensor[]>(
  kernelName: string,
  inputs: tf.NamedTensorMap,
  attrs: Record<string, unknown> = {},
): T {
  ensureKernel(kernelName);
  return tf.engine().runKernel(kernelName, inputs, attrs as tf.NamedAttrMap) as T;
}
