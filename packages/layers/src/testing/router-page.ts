/** Every router's step in a page of a browser; opened by adapters/gpu.test.ts. */
import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {ROUTERS, routerStep} from './router-steps.js';

const page = {
  async use(backend: string): Promise<string> {
    await tf.setBackend(backend);
    await tf.ready();
    // Small tensors would be computed by the cpu backend.
    tf.env().set('WEBGL_CPU_FORWARD', false);
    tf.env().set('WEBGL_SIZE_UPLOAD_UNIFORM', 0);
    return tf.getBackend();
  },
  step: (i: number): Promise<number[]> => routerStep(ROUTERS[i]!),
};

export type RouterPage = typeof page;
(globalThis as {page?: RouterPage}).page = page;
