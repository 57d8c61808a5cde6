import {getKernel, unregisterKernel} from '@tensorflow/tfjs-core';
import {
  ACTIVATION_GRAD,
  COMBINE,
  EXPERT_DOWN,
  EXPERT_OUTER,
  EXPERT_UP,
  MATMUL,
  MIX,
  MIX_GRAD,
  type PeftKernel,
  PROJECT,
  registerPeftKernels,
} from '../../kernel-registry.js';
import {activationGradient} from './activation-grad.js';
import {combine} from './combine.js';
import {expertDown, expertOuter, expertUp} from './experts.js';
import {matMul} from './matmul.js';
import {mix, mixGradient} from './mix.js';
import {project} from './project.js';

const kernels: Record<string, PeftKernel> = {
  [MATMUL]: matMul,
  [PROJECT]: project,
  [COMBINE]: combine,
  [EXPERT_DOWN]: expertDown,
  [EXPERT_UP]: expertUp,
  [EXPERT_OUTER]: expertOuter,
  [MIX]: mix,
  [MIX_GRAD]: mixGradient,
  [ACTIVATION_GRAD]: activationGradient,
};

/** Registers the fused kernels; the backend may be imported before or after. */
export function register(): void {
  registerPeftKernels('wasm', kernels);
}

/** Takes them out: the ops then run composed from stock kernels. */
export function unregister(): void {
  for (const kernelName of Object.keys(kernels)) {
    if (getKernel(kernelName, 'wasm') != null) unregisterKernel(kernelName, 'wasm');
  }
}
