/**
 * Gradients that stock tfjs lacks or gets wrong, for every backend: Einsum, GatherNd, ScatterNd, StridedSlice, TopK (values),
 * comparisons and logic (zero), BatchMatMul and SquaredDifference with broadcast operands, dilated Conv2D; and the values of the
 * cpu backend's BatchMatMul where both operands are broadcast. Importing this module registers them;
 * they hold for all of tfjs in the process, with or without adapters.
 */
import {registerComparisonGradients} from './gradients/comparisons.js';
import {repairCpuBatchMatMul} from './gradients/cpu-batch-matmul.js';
import {registerDilatedConvGradient} from './gradients/dilated-conv.js';
import {registerEinsumGradient} from './gradients/einsum.js';
import {registerGatherScatterGradients} from './gradients/gather-scatter.js';
import {registerProductGradients} from './gradients/products.js';
import {registerStridedSliceGradient} from './gradients/strided-slice.js';

export {stopGradient} from './gradients/stop-gradient.js';

/** Registers the gradients; done by importing `@tfjs-peft/kernels/gradients`. Calling it again is harmless. */
export function register(): void {
  registerComparisonGradients();
  registerDilatedConvGradient();
  registerGatherScatterGradients();
  registerEinsumGradient();
  registerProductGradients();
  registerStridedSliceGradient();
  repairCpuBatchMatMul();
}

register();

// tfjs-layers registers tfjs's own gradients when it is imported: over these, if it comes later. Whoever is about to take a gradient
// for somebody who imported this module calls this again.
(globalThis as {[key: symbol]: unknown})[Symbol.for('tfjs-peft.gradients.register')] = register;
