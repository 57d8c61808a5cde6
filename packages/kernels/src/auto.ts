/** Registers our kernels for every backend that has some, whether it is loaded already, later, or never. */
import * as cpu from './cpu.js';
import * as wasm from './wasm.js';
import * as webgl from './webgl.js';
import * as webgpu from './webgpu.js';

const BACKENDS = [cpu, wasm, webgl, webgpu];

/**
 * Registers the kernels of all backends. Importing this module calls it. Calling it again is harmless.
 *
 * @example
 * ```ts
 * import {register} from '@tfjs-peft/kernels/auto';
 *
 * register();
 * ```
 */
export function register(): void {
  for (const backend of BACKENDS) backend.register();
}

/**
 * Unregisters the kernels of all backends and restores those of tfjs.
 *
 * @example
 * ```ts
 * import {unregister} from '@tfjs-peft/kernels/auto';
 *
 * unregister();
 * ```
 */
export function unregister(): void {
  for (const backend of BACKENDS) backend.unregister();
}
