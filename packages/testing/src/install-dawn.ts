/**
 * Gives this Node a GPU on import, if it can. Import this file before tfjs's webgpu backend,
 * which looks for a GPU on import.
 */
import {exposeGpu, loadDawn} from './dawn-library.js';

/** Why WebGPU cannot run in this Node, or undefined if it can. */
export const dawnMissing =
  // jest.config.mjs sets it where Debian's chromium package is, which brings SwiftShader, a
  // Vulkan driver that runs on the CPU.
  process.env.VK_ICD_FILENAMES === undefined
    ? 'no Vulkan driver. Debian: apt-get install libvulkan1 chromium'
    : undefined;

if (dawnMissing === undefined) {
  const dawn = loadDawn();
  exposeGpu(dawn, dawn.create([]));
}
