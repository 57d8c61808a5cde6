import './index.js';
import {register as registerKernels, unregister as unregisterKernels} from './backends/wasm/register.js';
import {registerTile, unregisterTile} from './training/tile.js';

/**
 * Registers the fused kernels for tfjs's `wasm` backend, which may be imported before or after, and a fast Tile with a fast gradient;
 * done by importing this module. Calling it again is harmless.
 */
export function register(): void {
  registerKernels();
  registerTile();
}

/** Takes the fused kernels out, so that the ops run on stock ones, and puts the stock Tile and its gradient back. */
export function unregister(): void {
  unregisterKernels();
  unregisterTile();
}

register();
