import {registerPeftKernels} from '../../kernel-registry.js';
import {registerAdam} from '../../ops/adam.js';
import {repairCumulative} from '../../repairs/cumulative.js';
import {gpuKernels} from '../gpu-kernels.js';
import {programs} from './programs.js';

/**
 * Registers the kernels of tfjs's `webgl` backend, and Adam's (see `registerAdam`); done by importing `@tfjs-peft/kernels/webgl`. Calling
 * it again is harmless.
 */
export function register(): void {
  registerPeftKernels('webgl', gpuKernels(programs));
  registerAdam();
  repairCumulative('webgl');
}
