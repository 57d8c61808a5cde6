import * as tf from '@tensorflow/tfjs-core';
import {BackendError} from '../errors.js';
import {MATMUL, registerPeftKernels} from '../kernel-registry.js';
import {composedKernels} from './composed/index.js';

const FUSED = new Set(['cpu', 'wasm', 'webgl', 'webgpu']);
const warned = new Set<string>();

let checked = false;

/**
 * Where a page holds two copies of tfjs-core, the second one works on the first one's engine: kernels still run, but classes that
 * tfjs-layers looks up, and backends, belong to one copy only, which fails later and elsewhere.
 */
function checkSingleCopy(): void {
  if (checked) return;
  const probe = tf.scalar(0);
  const own = probe.constructor === tf.Tensor;
  probe.dispose();
  if (!own) {
    throw new BackendError(
      'Two copies of @tensorflow/tfjs-core are loaded: tfjs-peft imports one, and another made the engine. Install one version ' +
        "(npm ls @tensorflow/tfjs-core, npm dedupe), and do not mix a <script> tag's tfjs with a bundled one.",
    );
  }
  checked = true;
}

/** Makes sure that the active backend can run `kernelName`: where it has no kernel of ours, the composed one is registered. */
function ensureKernel(kernelName: string): void {
  const backendName = tf.getBackend();
  if (tf.getKernel(kernelName, backendName) != null) return;
  const none = tf.getKernel(MATMUL, backendName) == null;
  if (none && FUSED.has(backendName) && !warned.has(backendName)) {
    warned.add(backendName);
    console.warn(
      `tfjs-peft: the fused kernels of the ${backendName} backend are not registered, so stock ops do their work, slowly. ` +
        `Add: import '@tfjs-peft/kernels/auto'`,
    );
  }
  const missing = Object.entries(composedKernels).filter(([name]) => tf.getKernel(name, backendName) == null);
  registerPeftKernels(backendName, Object.fromEntries(missing), true);
}

/** Runs a kernel of ours on the active backend, through the gradient tape if one is recording. */
export function runPeftKernel<T extends tf.Tensor | tf.Tensor[]>(
  kernelName: string,
  inputs: tf.NamedTensorMap,
  attrs: Record<string, unknown> = {},
): T {
  checkSingleCopy();
  ensureKernel(kernelName);
  return tf.engine().runKernel(kernelName, inputs, attrs as tf.NamedAttrMap) as T;
}
