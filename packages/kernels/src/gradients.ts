/**
 * Gradients that stock tfjs lacks or gets wrong, for every backend: Einsum, GatherNd, ScatterNd, StridedSlice, TopK (values),
 * comparisons and logic (zero), BatchMatMul and SquaredDifference with broadcast operands. Importing this module registers them;
 * they hold for all of tfjs in the process, with or without adapters.
 */
import {registerComparisonGradients} from './gradients/comparisons.js';
import {registerEinsumGradient} from './gradients/einsum.js';
import {registerGatherScatterGradients} from './gradients/gather-scatter.js';
import {registerProductGradients} from './gradients/products.js';
import {registerStridedSliceGradient} from './gradients/strided-slice.js';

export {stopGradient} from './gradients/stop-gradient.js';

/** Registers the gradients; done by importing `@tfjs-peft/kernels/gradients`. Calling it again is harmless. */
export function register(): void {
  registerComparisonGradients();
  registerGatherScatterGradients();
  registerEinsumGradient();
  registerProductGradients();
  registerStridedSliceGradient();
}

register();
