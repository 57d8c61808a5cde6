import * as kernels from './backends/webgl/kernels.generated.js';
import {peftKernelPatches} from './kernel-registry.js';
import {ADAM} from './ops/adam.js';
import './ops/gradients.generated.js';
import {peftGradients} from './ops/gradients.js';
import {PatchSet} from './patches.js';
import {cumulativeRepairs} from './repairs/cumulative.js';

const patches = new PatchSet('webgl', () => [
  ...peftKernelPatches('webgl', kernels),
  ...peftGradients(),
  ADAM,
  ...cumulativeRepairs('webgl'),
]);

/**
 * Registers our kernels for tfjs's `webgl` backend, which may be imported before or after, `tf.train.adam`
 * by one kernel a variable, and a Cumsum and Cumprod that take negative axes; done by importing this
 * module. Calling it again is harmless.
 *
 * @example
 * ```ts
 * import {register} from '@tfjs-peft/kernels/webgl';
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
 * import {unregister} from '@tfjs-peft/kernels/webgl';
 *
 * unregister();
 * ```
 */
export function unregister(): void {
  patches.restore();
}

register();
