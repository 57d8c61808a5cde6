import {existsSync, readdirSync} from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import {type Dawn, exposeGpu, loadDawn, SWIFTSHADER} from './dawn-library.js';

const SYSTEM_DRIVERS = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d'];

function hasFiles(folder: string): boolean {
  return existsSync(folder) && readdirSync(folder).length > 0;
}

/**
 * Gives Node a GPU through Dawn: one that the machine has a Vulkan driver for, or SwiftShader. Call it before
 * tfjs's webgpu backend is imported, which looks for a GPU then.
 *
 * @returns what the adapter calls itself.
 * @throws Error, on one line, if there is no adapter.
 */
export async function installDawn(): Promise<string> {
  let dawn: Dawn;
  try {
    dawn = loadDawn();
  } catch (error) {
    throw new Error(`WebGPU in Node needs the npm package webgpu: ${String(error).split('\n')[0]}`);
  }
  const software = process.env.VK_ICD_FILENAMES === undefined && existsSync(SWIFTSHADER);
  // Dawn asks the process for its driver when it looks for an adapter, and
  // complains on stderr where there is none.
  if (software && !SYSTEM_DRIVERS.some(hasFiles)) process.env.VK_ICD_FILENAMES = SWIFTSHADER;
  let gpu = dawn.create([]);
  let adapter = await gpu.requestAdapter();
  if (!adapter && software) {
    process.env.VK_ICD_FILENAMES = SWIFTSHADER;
    gpu = dawn.create([]);
    adapter = await gpu.requestAdapter();
  }
  if (!adapter) {
    throw new Error(
      'no WebGPU adapter: Dawn found no Vulkan driver. Debian: apt-get install libvulkan1 chromium; or set VK_ICD_FILENAMES to ' +
        "a driver's .json",
    );
  }
  exposeGpu(dawn, gpu);
  const {description, vendor, architecture} = adapter.info ?? {};
  return description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed adapter';
}

/**
 * The messages of what the GPU refuses from now on, as they come. The webgpu backend must be the active one:
 * from now on it computes small tensors too, which would go to the cpu backend.
 */
export function watchGpu(): string[] {
  const errors: string[] = [];
  tf.env().set('WEBGPU_CPU_FORWARD', false);
  const {device} = tf.backend() as tf.KernelBackend & {device: GPUDevice};
  // A wrong shader never throws: its whole command buffer is dropped and the result is zeros.
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault();
    errors.push(event.error.message);
  });
  return errors;
}
