import {getKernel, unregisterKernel} from '@tensorflow/tfjs-core';
import {
  ACTIVATION_GRAD,
  ADAM,
  BLEND,
  BLEND_GRAD,
  COLUMN_SUM,
  COMBINE,
  EXPERT_DOWN,
  EXPERT_OUTER,
  EXPERT_UP,
  GATES,
  LAYER_NORM,
  LAYER_NORM_GRAD,
  MATMUL,
  MIX,
  MIX_GRAD,
  type PeftKernel,
  PROJECT,
  registerPeftKernels,
  SOFTMAX_GRAD,
  STREAM_GATES,
  STREAM_GATES_GRAD,
} from '../../kernel-registry.js';
import {registerAdam} from '../../ops/adam.js';
import {activationGradient} from './activation-grad.js';
import {adam} from './adam.js';
import {blend, blendGradient} from './blend.js';
import {columnSum} from './column-sum.js';
import {combine} from './combine.js';
import {expertDown, expertOuter, expertUp} from './experts.js';
import {gates, softmaxGradient, streamGates, streamGatesGradient} from './gates.js';
import {matMul} from './matmul.js';
import {mix, mixGradient} from './mix.js';
import {layerNorm, layerNormGradient} from './normalize.js';
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
  [LAYER_NORM]: layerNorm,
  [LAYER_NORM_GRAD]: layerNormGradient,
  [GATES]: gates,
  [SOFTMAX_GRAD]: softmaxGradient,
  [STREAM_GATES]: streamGates,
  [STREAM_GATES_GRAD]: streamGatesGradient,
  [BLEND]: blend,
  [BLEND_GRAD]: blendGradient,
  [COLUMN_SUM]: columnSum,
  [ADAM]: adam,
};

/** Registers the fused kernels, and Adam's (see `registerAdam`); the backend may be imported before or after. */
export function register(): void {
  registerPeftKernels('wasm', kernels);
  registerAdam();
}

/** Takes them out: the ops then run composed from stock kernels. */
export function unregister(): void {
  for (const kernelName of Object.keys(kernels)) {
    if (getKernel(kernelName, 'wasm') != null) unregisterKernel(kernelName, 'wasm');
  }
}
