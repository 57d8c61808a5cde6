import * as kernels from './backends/webgpu/kernels.generated.js';
import {TRANSPOSE} from './backends/webgpu/transpose.js';
import {peftKernelPatches} from './kernel-registry.js';
import {ADAM} from './ops/adam.js';
import './ops/gradients.generated.js';
import {peftGradients} from './ops/gradients.js';
import {PatchSet} from './patches.js';
import {cumulativeRepairs} from './repairs/cumulative.js';

const patches = new PatchSet('webgpu', () => [
  ...peftKernelPatches('webgpu', kernels),
  ...peftGradients(),
  ADAM,
  ...cumulativeRepairs('webgpu'),
  TRANSPOSE,
]);

/**
 * Registers our kernels for tfjs's `webgpu` backend, which may be imported before or after, `tf.train.adam`
 * by one kernel a variable, a Cumsum and Cumprod that take negative axes, and a Transpose that is right for
 * integers; done by importing this module. Calling it again is harmless.
 *
 * @example
 * ```ts
 * import {register} from '@tfjs-peft/kernels/webgpu';
 *
 * register();
 * ```
 */
export function register(): void {
  patches.apply();
}

/**
 * Unregisters our kernels and restores those of tfjs.
 *
 * @example
 * ```ts
 * import {unregister} from '@tfjs-peft/kernels/webgpu';
 *
 * unregister();
 * ```
 */
export function unregister(): void {
  patches.restore();
}

register();
