/**
 * Makes tfjs's wasm backend fit for training: its matrix products (BatchMatMul, _FusedMatMul) cost the same in every transposition
 * and when batched, and take integers and every bias that broadcasts; Tile, through which tfjs-layers' LayerNormalization goes, is a
 * copy whose gradient is a sum; a sum over leading axes, which the gradient of every bias and scale is, is one pass; tensors that are kept for a gradient are not copied; and the kernels that backpropagation lacks there
 * (UnsortedSegmentSum, Einsum, Conv2DBackpropFilter, the depthwise ones) or gets wrong (MaxPoolGrad, fused convolutions with other
 * biases than a vector, ClipByValue of NaN) are supplied. Importing this module registers the replacements, if the backend has been imported before;
 * otherwise call {@link register} after that.
 */
import './wasm.js';
import {registerClip, unregisterClip} from './training/clip.js';
import {registerFusedBias, unregisterFusedBias} from './training/fused-bias.js';
import {MISSING_KERNELS} from './training/missing.js';
import {restoreKernel, supplyKernel} from './training/overrides.js';
import {registerProducts, unregisterProducts} from './training/products.js';
import {registerSegmentSum, unregisterSegmentSum} from './training/segment-sum.js';
import {registerShapeChecks, unregisterShapeChecks} from './training/shapes.js';
import {registerSharedValues, unregisterSharedValues} from './training/shared-values.js';
import {registerSum, unregisterSum} from './training/sum.js';
import {registerTile, unregisterTile} from './training/tile.js';

/** Puts our kernels in place of the stock ones. Calling it again is harmless, and needed after a later import of the backend. */
export function register(): void {
  registerProducts();
  registerTile();
  registerSharedValues();
  registerFusedBias();
  registerClip();
  registerSum();
  for (const [name, kernel] of Object.entries(MISSING_KERNELS)) supplyKernel(name, kernel);
  registerSegmentSum();
  registerShapeChecks();
}

/** Puts the stock kernels, and the stock gradient of Tile, back. */
export function unregister(): void {
  unregisterProducts();
  unregisterTile();
  unregisterSharedValues();
  unregisterFusedBias();
  unregisterClip();
  unregisterSum();
  for (const name of Object.keys(MISSING_KERNELS)) restoreKernel(name);
  unregisterSegmentSum();
  unregisterShapeChecks();
}

register();
