import {registerPeftKernels} from '../../kernel-registry.js';
import {registerAdam} from '../../ops/adam.js';
import {gpuKernels} from '../gpu-kernels.js';
import {activationGradient} from './activation-gradient.js';
import {adam} from './adam.js';
import {columnSum} from './column-sum.js';
import {combine} from './combine.js';
import {matMul} from './matmul.js';
import {mix, mixGradient} from './mix.js';

/** Registers the kernels of tfjs's `webgl` backend, and Adam's (see `registerAdam`); done by importing `@tfjs-peft/kernels/webgl`. Calling it again is harmless. */
export function register(): void {
  registerPeftKernels(
    'webgl',
    gpuKernels({matMul, combine, mix, mixGradient, activationGradient, columnSum, adam}),
  );
  registerAdam();
}
