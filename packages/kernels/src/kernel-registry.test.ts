import '@tensorflow/tfjs';
import {MathBackendCPU} from '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import {combine, matMul, type PeftKernels, registerPeftKernels, unregisterPeftKernels} from './index.js';

const BACKEND = 'mine';

/** A backend of somebody else's, with all kernels of tfjs's cpu backend. */
beforeAll(async () => {
  tf.registerBackend(BACKEND, () => new MathBackendCPU());
  for (const {backendName: _, ...kernel} of tf.getKernelsForBackend('cpu'))
    tf.registerKernel({...kernel, backendName: BACKEND});
  await tf.setBackend(BACKEND);
});

const product = () => [...matMul(tf.ones([2, 3]), tf.ones([3, 1])).dataSync()];
const site = () => [...combine({x: tf.ones([2, 3]), kernel: tf.ones([3, 1])}).dataSync()];

const constant = (value: number): PeftKernels => ({
  PeftMatMul: ({backend}) =>
    (backend as MathBackendCPU).makeTensorInfo([2, 1], 'float32', Float32Array.of(value, value)),
});

test("a backend's own kernels serve the ops, what it lacks is composed, and all of it goes again", () => {
  expect([product(), site()]).toEqual([
    [3, 3],
    [3, 3],
  ]);
  registerPeftKernels(BACKEND, constant(7));
  expect([product(), site()]).toEqual([
    [7, 7],
    [3, 3],
  ]);
  registerPeftKernels(BACKEND, constant(8));
  expect(product()).toEqual([8, 8]);
  unregisterPeftKernels(BACKEND);
  expect(tf.getKernelsForBackend(BACKEND).filter(({kernelName}) => kernelName.startsWith('Peft'))).toEqual(
    [],
  );
  expect(product()).toEqual([3, 3]);
});
