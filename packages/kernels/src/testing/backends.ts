import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {register as registerCpu} from '../cpu.js';
import {registerPeftKernels} from '../kernel-registry.js';
import {composedKernels} from '../ops/composed/index.js';
import * as wasm from '../wasm.js';

/** Where an op can run under Node with npm alone; `composed` is the cpu backend with the composed kernels. */
export const TEST_BACKENDS = ['cpu', 'wasm', 'composed'] as const;
export type TestBackend = (typeof TEST_BACKENDS)[number];

/** Makes the backend active, with our kernels or the composed ones. */
export async function useBackend(name: TestBackend): Promise<void> {
  if (name === 'composed') registerPeftKernels('cpu', composedKernels, true);
  else registerCpu();
  (wasm as {register?: () => void}).register?.();
  await tf.setBackend(name === 'composed' ? 'cpu' : name);
  await tf.ready();
}
