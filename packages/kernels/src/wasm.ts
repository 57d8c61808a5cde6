import * as kernels from './backends/wasm/kernels.generated.js';
import {peftKernelPatches} from './kernel-registry.js';
import {ADAM} from './ops/adam.js';
import './ops/gradients.generated.js';
import {peftGradients} from './ops/gradients.js';
import {PatchSet} from './patches.js';
import {WASM_REPAIRS} from './repairs/wasm.js';
import {SHARED_VALUES} from './training/shared-values.js';
import {TILE} from './training/tile.js';

const patches = new PatchSet('wasm', () => [
  ...peftKernelPatches('wasm', kernels),
  ...peftGradients(),
  ADAM,
  ...TILE,
  ...SHARED_VALUES,
  ...WASM_REPAIRS,
]);

/**
 * Registers our kernels for tfjs's `wasm` backend, which may be imported before or after, `tf.train.adam`
 * by one kernel a variable, a fast Tile with a fast gradient, an Identity and a Cast that copy nothing
 * where nothing changes, and stock kernels kept within their tensors; done by importing this module.
 * Calling it again is harmless.
 *
 * @example
 * ```ts
 * import {register} from '@tfjs-peft/kernels/wasm';
 *
 * register();
 * ```
 */
export function register(): void {
  patches.apply();
}

/**
 * Unregisters our kernels and restores the stock kernels and the stock gradient of Tile.
 *
 * @example
 * ```ts
 * import {unregister} from '@tfjs-peft/kernels/wasm';
 *
 * unregister();
 * ```
 */
export function unregister(): void {
  patches.restore();
}

register();
