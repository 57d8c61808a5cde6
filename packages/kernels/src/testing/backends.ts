import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import * as cpu from '../cpu.js';
import {composeMissing} from '../ops/kernels.js';
import * as wasm from '../wasm.js';

/** Where an op can run under Node with npm alone; `composed` is the cpu backend with the composed kernels. */
export const TEST_BACKENDS = ['cpu', 'wasm', 'composed'] as const;
export type TestBackend = (typeof TEST_BACKENDS)[number];

/** Makes the backend active, with our kernels or the composed ones. */
export async function useBackend(name: TestBackend): Promise<void> {
  if (name === 'composed') {
    cpu.unregister();
    composeMissing('cpu');
  } else cpu.register();
  wasm.register();
  await tf.setBackend(name === 'composed' ? 'cpu' : name);
  await tf.ready();
}
