import {registerPeftKernels} from '../../kernel-registry.js';
import {registerAdam} from '../../ops/adam.js';
import {repairCumulative} from '../../repairs/cumulative.js';
import {gpuKernels} from '../gpu-kernels.js';
import {programs} from './programs.js';
import {registerTranspose} from './transpose.js';

/**
 * Registers the kernels of tfjs's `webgpu` backend, Adam's (see `registerAdam`) and a Transpose that is right for integers; done by
 * importing `@tfjs-peft/kernels/webgpu`. Calling it again is harmless.
 */
export function register(): void {
  registerPeftKernels('webgpu', gpuKernels(programs));
  registerAdam();
  repairCumulative('webgpu');
  registerTranspose();
}
