// Ours first, and then all that they repair: tfjs-core's ops, gradients, layers and the backend.
import '../wasm-training.js';
import '../auto.js';
import '../gradients.js';
import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import * as auto from '../auto.js';
import * as gradients from '../gradients.js';
import {stockKernel} from '../kernel-patches.js';
import {patchReasons} from '../patches.js';
import {register, unregister} from '../wasm-training.js';

/** The kernels that ours stand in front of, and those that the backend has from us alone. */
const state = (): string[] => {
  const kernels = tf.getKernelsForBackend('wasm').map(({kernelName}) => kernelName);
  return kernels.map((name) => `${name}${stockKernel(name, 'wasm') === undefined ? '' : ' replaced'}`).sort();
};

test('imported before the backend, the repairs are there as if imported after it, before anything runs', async () => {
  const warn = jest.spyOn(console, 'warn');
  await tf.setBackend('wasm');
  const before = state();
  expect(before).toContain('BatchMatMul replaced');
  expect(before).toContain('ClipByValue replaced');
  expect(before).toContain('MaxPoolGrad replaced');
  expect(before).toContain('Select replaced');
  expect(before).toContain('Einsum');
  unregister();
  expect(state()).not.toEqual(before);
  register();
  expect(state()).toEqual(before);
  expect(warn.mock.calls.filter(([text]) => String(text).includes('already registered'))).toEqual([]);
  warn.mockRestore();
});

test('and run', async () => {
  await tf.setBackend('wasm');
  expect(tf.clipByValue(tf.tensor1d([Number.NaN]), -1, 1).dataSync()).toEqual(Float32Array.of(Number.NaN));
  expect(tf.cast(tf.tensor1d([256], 'int32'), 'bool').dataSync()).toEqual(Uint8Array.of(1));
});

test('and leave nothing of ours behind', async () => {
  await tf.setBackend('wasm');
  unregister();
  gradients.unregister();
  auto.unregister();
  const kernels = ['cpu', 'wasm', 'webgl', 'webgpu'].flatMap((name) => tf.getKernelsForBackend(name));
  expect(kernels.length).toBeGreaterThan(400);
  const ours = kernels.filter(
    ({kernelName, kernelFunc}) => kernelName.startsWith('Peft') || patchReasons(kernelFunc).length > 0,
  );
  expect(ours).toEqual([]);
  for (const name of ['PeftCombine', 'Einsum']) expect(tf.getGradient(name)).toBeUndefined();
  for (const name of ['Tile', 'Cast', 'AvgPool']) {
    expect(patchReasons(tf.getGradient(name).gradFunc)).toEqual([]);
  }
});
