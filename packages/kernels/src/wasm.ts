import './ops/all-gradients.js';
import {register as registerKernels, unregister as unregisterKernels} from './backends/wasm/register.js';
import {registerRepairs, unregisterRepairs} from './repairs/wasm.js';
import {registerSharedValues, unregisterSharedValues} from './training/shared-values.js';
import {registerTile, unregisterTile} from './training/tile.js';

/**
 * Registers the fused kernels for tfjs's `wasm` backend, which may be imported before or after, a fast Tile with a fast gradient,
 * an Identity and a Cast that copy nothing where nothing changes, and stock kernels kept within their tensors; done by importing this module. Calling it again is harmless.
 */
export function register(): void {
  registerKernels();
  registerTile();
  registerSharedValues();
  registerRepairs();
}

/** Takes the fused kernels out, so that the ops run on stock ones, and puts the stock kernels and Tile's gradient back. */
export function unregister(): void {
  unregisterKernels();
  unregisterTile();
  unregisterSharedValues();
  unregisterRepairs();
}

register();
