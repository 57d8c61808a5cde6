import {registerPeftKernels} from '../../kernel-registry.js';
import {registerAdam} from '../../ops/adam.js';
import {gpuKernels} from '../gpu-kernels.js';
import {activationGradient} from './activation-gradient.js';
import {adam} from './adam.js';
import {columnSum} from './column-sum.js';
import {combine} from './combine.js';
import {matMul} from './matmul.js';
import {mix, mixGradient} from './mix.js';
import {registerTranspose} from './transpose.js';

/**
 * Registers the kernels of tfjs's `webgpu` backend, Adam's (see `registerAdam`) and a Transpose that is right for integers; done by
 * importing `@tfjs-peft/kernels/webgpu`. Calling it again is harmless.
 */
export function register(): void {
  registerPeftKernels(
    'webgpu',
    gpuKernels({matMul, combine, mix, mixGradient, activationGradient, columnSum, adam}),
  );
  registerAdam();
  registerTranspose();
}
