/** Registers our kernels for every backend that has some, whether it is loaded already, later, or never. */
import {register as registerCpu} from './cpu.js';
import {register as registerWasm} from './wasm.js';
import {register as registerWebgl} from './webgl.js';
import {register as registerWebgpu} from './webgpu.js';

/** Registers the kernels of all backends; done by importing this module. Calling it again is harmless. */
export function register(): void {
  registerCpu();
  registerWasm();
  registerWebgl();
  registerWebgpu();
}
