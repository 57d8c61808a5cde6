/**
 * Gradients that stock tfjs lacks or gets wrong, for every backend. They are listed, op by attribute, in `docs/gradients.md`; repaired too are values of
 * the cpu backend's BatchMatMul where both operands are broadcast, its TensorScatterUpdate, which writes into its input, and Cumsum and
 * Cumprod over negative axes. Importing this module registers them; they hold for
 * all of tfjs in the process, with or without adapters.
 */
import {registerBroadcastGradients} from './gradients/broadcast.js';
import {registerComparisonGradients} from './gradients/comparisons.js';
import {registerConvolutionGradients} from './gradients/convolutions.js';
import {registerCropAndResizeGradient} from './gradients/crop-and-resize.js';
import {registerEinsumGradient} from './gradients/einsum.js';
import {registerGatherScatterGradients} from './gradients/gather-scatter.js';
import {registerMirrorPadGradient} from './gradients/mirror-pad.js';
import {registerPoolingGradients} from './gradients/pooling.js';
import {registerProductGradients} from './gradients/products.js';
import {registerRearrangementGradients} from './gradients/rearrangements.js';
import {registerResizeGradients} from './gradients/resize.js';
import {registerScanGradients} from './gradients/scans.js';
import {registerStridedSliceGradient} from './gradients/strided-slice.js';
import {repairValues} from './gradients/values.js';

export {stopGradient} from './gradients/stop-gradient.js';

/** Registers the gradients; done by importing `@tfjs-peft/kernels/gradients`. Calling it again is harmless. */
export function register(): void {
  registerBroadcastGradients();
  registerComparisonGradients();
  registerConvolutionGradients();
  registerCropAndResizeGradient();
  registerGatherScatterGradients();
  registerEinsumGradient();
  registerMirrorPadGradient();
  registerPoolingGradients();
  registerProductGradients();
  registerRearrangementGradients();
  registerResizeGradients();
  registerScanGradients();
  registerStridedSliceGradient();
  repairValues();
}

register();

// tfjs-layers registers tfjs's own gradients when it is imported: over these, if it comes later. Whoever is about to take a gradient
// for somebody who imported this module calls this again.
(globalThis as {[key: symbol]: unknown})[Symbol.for('tfjs-peft.gradients.register')] = register;
