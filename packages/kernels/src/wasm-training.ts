/**
 * Makes tfjs's wasm backend fit for training: its matrix products (BatchMatMul, _FusedMatMul) cost the same in every transposition
 * and when batched, and Tile, through which tfjs-layers' LayerNormalization goes, is a copy whose gradient is a sum. Importing this
 * module registers the replacements, if the backend has been imported before; otherwise call {@link register} after that.
 */
import './wasm.js';
import {registerProducts, unregisterProducts} from './training/products.js';
import {registerTile, unregisterTile} from './training/tile.js';

/** Puts our kernels in place of the stock ones. Calling it again is harmless, and needed after a later import of the backend. */
export function register(): void {
  registerProducts();
  registerTile();
}

/** Puts the stock kernels, and the stock gradient of Tile, back. */
export function unregister(): void {
  unregisterProducts();
  unregisterTile();
}

register();
