import {setWasmPaths} from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import {register as registerKernels} from '@tfjs-peft/kernels/auto';
import {register as registerTraining} from '@tfjs-peft/kernels/wasm-training';
import '@tensorflow/tfjs-backend-cpu';
import {InputError} from '../../data/input-error.js';
import {wasmBackendFolder} from '../../data/models/package-folder.js';
import type {Backend} from './options.js';

/** Packages that bring the backends which are not this workspace's own dependencies. */
const PACKAGES: Partial<Record<Backend, string>> = {
  webgpu: '@tensorflow/tfjs-backend-webgpu',
  webgl: '@tensorflow/tfjs-backend-webgl',
  node: '@tensorflow/tfjs-node',
};

/**
 * Makes a backend the current one, with our kernels.
 *
 * @throws InputError when this process cannot have it.
 */
export async function useBackend(backend: Backend): Promise<void> {
  const extra = PACKAGES[backend];
  const refuse = (why: string): never => {
    throw new InputError(
      `--backend ${backend}: not available in this process (${why}); use --backend wasm or cpu`,
    );
  };
  if (extra !== undefined) {
    await import(extra).catch((error: Error) => refuse(error.message.split('\n')[0]!));
  }
  if (backend === 'wasm') setWasmPaths(wasmBackendFolder());
  const name = backend === 'node' ? 'tensorflow' : backend;
  const ready = await tf.setBackend(name).catch((error: Error) => refuse(error.message.split('\n')[0]!));
  if (!ready) refuse('it could not be initialised');
  await tf.ready();
  registerKernels();
  if (backend === 'wasm') registerTraining();
}
