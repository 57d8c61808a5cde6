import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';

interface Dawn {
  create(options: string[]): unknown;
  globals: Record<string, unknown>;
}

function missingDriver(): string | undefined {
  // jest.config.mjs sets it where Debian's chromium package is, which brings SwiftShader, a Vulkan driver that runs on the CPU.
  if (process.env.VK_ICD_FILENAMES === undefined) {
    return 'no Vulkan driver. Debian: apt-get install libvulkan1 chromium';
  }
  return undefined;
}

function installDawn(): void {
  const require = createRequire(join(process.cwd(), 'package.json'));
  const folder = dirname(require.resolve('webgpu'));
  const dawn = require(join(folder, 'dist', `${process.platform}-${process.arch}`, 'dawn.node')) as Dawn;
  Object.assign(globalThis, dawn.globals);
  if (globalThis.navigator === undefined) {
    Object.defineProperty(globalThis, 'navigator', {value: {}, configurable: true, writable: true});
  }
  Object.defineProperty(globalThis.navigator, 'gpu', {value: dawn.create([]), configurable: true});
}

/** Why WebGPU cannot run in this Node, or undefined if it can. */
export const dawnMissing = missingDriver();

// On import, and before tfjs's webgpu backend is imported, which looks for WebGPU then: import this file first.
if (dawnMissing === undefined) installDawn();
