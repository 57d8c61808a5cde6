import {
  ACTIVATION_GRAD,
  COMBINE,
  MATMUL,
  MIX,
  MIX_GRAD,
  type PeftKernel,
  PROJECT,
  registerPeftKernels,
} from '../../kernel-registry.js';
import {activationGradient} from './activation-grad.js';
import {combine} from './combine.js';
import {matMul} from './matmul.js';
import {mix, mixGradient} from './mix.js';
import {project} from './project.js';

const kernels: Record<string, PeftKernel> = {
  [MATMUL]: matMul,
  [PROJECT]: project,
  [COMBINE]: combine,
  [MIX]: mix,
  [MIX_GRAD]: mixGradient,
  [ACTIVATION_GRAD]: activationGradient,
};

/**
 * Registers the fused kernels for tfjs's `wasm` backend, which may be imported before or after; done by importing
 * `@tfjs-peft/kernels/wasm`. Calling it again is harmless.
 */
export function register(): void {
  registerPeftKernels('wasm', kernels);
}
