/** Dawn in Node, apart from any copy of tfjs. */
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';

interface Gpu {
  requestAdapter(): Promise<{info?: {description?: string; vendor?: string; architecture?: string}} | null>;
}

export interface Dawn {
  create(options: string[]): Gpu;
  globals: Record<string, unknown>;
}

/** Debian's chromium package brings a Vulkan driver that runs on the CPU. */
export const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** Where the library is. The package's own module cannot be loaded by a test, which runs as CommonJS. */
export function dawnPath(): string {
  const folder = dirname(createRequire(import.meta.url).resolve('webgpu'));
  return join(folder, 'dist', `${process.platform}-${process.arch}`, 'dawn.node');
}

/** The library itself, from its path. */
export function loadDawn(path = dawnPath()): Dawn {
  return createRequire(path)(path) as Dawn;
}

/** Puts WebGPU where tfjs looks for it, as a browser has it. */
export function exposeGpu({globals}: Dawn, gpu: Gpu): void {
  Object.assign(globalThis, globals);
  if (globalThis.navigator === undefined) {
    Object.defineProperty(globalThis, 'navigator', {value: {}, configurable: true, writable: true});
  }
  Object.defineProperty(globalThis.navigator, 'gpu', {value: gpu, configurable: true});
}
