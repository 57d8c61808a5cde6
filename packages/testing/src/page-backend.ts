/** For modules that run in a page of a browser. */
import '@tensorflow/tfjs-backend-webgl';
import '@tensorflow/tfjs-backend-webgpu';
import {setWasmPaths} from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';

/**
 * Makes the backend active in a page that `openPage` opened; returns its name,
 * which differs if it could not be.
 */
export async function usePageBackend(backend: string): Promise<string> {
  setWasmPaths('/files/');
  await tf.setBackend(backend);
  await tf.ready();
  // Small tensors would be computed by the cpu backend.
  for (const flag of ['WEBGL_CPU_FORWARD', 'WEBGPU_CPU_FORWARD']) tf.env().set(flag, false);
  tf.env().set('WEBGL_SIZE_UPLOAD_UNIFORM', 0);
  return tf.getBackend();
}
