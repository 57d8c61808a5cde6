/**
 * Makes tfjs's wasm backend fit for training: its matrix products (BatchMatMul, _FusedMatMul) cost the same
 * in every transposition and when batched, and take integers and every bias that broadcasts; Tile, through
 * which tfjs-layers' LayerNormalization goes, is a copy whose gradient is a sum; a sum over leading axes,
 * which the gradient of every bias and scale is, is one pass; tensors that are kept for a gradient are not
 * copied; and the kernels that backpropagation lacks there (UnsortedSegmentSum, Einsum,
 * Conv2DBackpropFilter, the depthwise ones) or gets wrong (MaxPoolGrad, fused convolutions with other
 * biases than a vector, ClipByValue of NaN) are supplied. Importing this module registers them, whether the
 * backend is imported before or after.
 */
import './wasm.js';
import {PatchSet, withdraw} from './patches.js';
import {CLIP} from './training/clip.js';
import {FUSED_BIAS} from './training/fused-bias.js';
import {MISSING_KERNELS} from './training/missing.js';
import {PRODUCTS} from './training/products.js';
import {SEGMENT_SUM} from './training/segment-sum.js';
import {SHAPE_CHECKS} from './training/shapes.js';
import {SHARED_VALUES} from './training/shared-values.js';
import {SUM} from './training/sum.js';
import {TILE} from './training/tile.js';

const patches = new PatchSet('wasm-training', () => [
  ...PRODUCTS,
  ...TILE,
  ...SHARED_VALUES,
  ...FUSED_BIAS,
  CLIP,
  SUM,
  ...MISSING_KERNELS,
  SEGMENT_SUM,
  ...SHAPE_CHECKS,
]);

/**
 * Replaces stock kernels by ours. Importing this module calls it. Calling it again is harmless.
 *
 * @example
 * ```ts
 * import {register} from '@tfjs-peft/kernels/wasm-training';
 *
 * register();
 * ```
 */
export function register(): void {
  patches.apply();
}

/**
 * Restores the stock kernels and the stock gradient of Tile, including those that `@tfjs-peft/kernels/wasm`
 * replaced for training.
 *
 * @example
 * ```ts
 * import {unregister} from '@tfjs-peft/kernels/wasm-training';
 *
 * unregister();
 * ```
 */
export function unregister(): void {
  patches.restore();
  for (const patch of [...TILE, ...SHARED_VALUES]) withdraw(patch);
}

register();
