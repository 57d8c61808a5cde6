import {MATMUL, type PeftKernel, registerPeftKernels} from '../../kernel-registry.js';
import {matMul} from './matmul.js';

const kernels: Record<string, PeftKernel> = {
  [MATMUL]: matMul,
};

/** Registers the fused kernels for tfjs's wasm backend, which may be imported before or after. */
export function register(): void {
  registerPeftKernels('wasm', kernels);
}
