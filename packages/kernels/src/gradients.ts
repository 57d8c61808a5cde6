/**
 * Gradients that stock tfjs lacks or gets wrong, for every backend. They are listed, op by attribute, in
 * `docs/gradients.md`; repaired too are values of the cpu backend's BatchMatMul where both operands are
 * broadcast, its TensorScatterUpdate, which writes into its input, and Cumsum and Cumprod over negative
 * axes. Importing this module registers them; they hold for all of tfjs in the process, with or without
 * adapters.
 */
import {BROADCAST_GRADIENTS} from './gradients/broadcast.js';
import {COMPARISON_GRADIENTS} from './gradients/comparisons.js';
import {CONVOLUTION_GRADIENTS} from './gradients/convolutions.js';
import {CROP_AND_RESIZE_GRADIENT} from './gradients/crop-and-resize.js';
import {EINSUM_GRADIENT} from './gradients/einsum.js';
import {GATHER_SCATTER_GRADIENTS} from './gradients/gather-scatter.js';
import {MIRROR_PAD_GRADIENT} from './gradients/mirror-pad.js';
import {POOLING_GRADIENTS} from './gradients/pooling.js';
import {PRODUCT_GRADIENTS} from './gradients/products.js';
import {REARRANGEMENT_GRADIENTS} from './gradients/rearrangements.js';
import {RESIZE_GRADIENTS} from './gradients/resize.js';
import {SCAN_GRADIENTS} from './gradients/scans.js';
import {STRIDED_SLICE_GRADIENT} from './gradients/strided-slice.js';
import {VALUES_FOR_GRADIENTS} from './gradients/values.js';
import {PatchSet} from './patches.js';

export {stopGradient} from './gradients/stop-gradient.js';

const patches = new PatchSet('gradients', () => [
  ...BROADCAST_GRADIENTS,
  ...COMPARISON_GRADIENTS,
  ...CONVOLUTION_GRADIENTS,
  CROP_AND_RESIZE_GRADIENT,
  EINSUM_GRADIENT,
  ...GATHER_SCATTER_GRADIENTS,
  MIRROR_PAD_GRADIENT,
  ...POOLING_GRADIENTS,
  ...PRODUCT_GRADIENTS,
  ...REARRANGEMENT_GRADIENTS,
  ...RESIZE_GRADIENTS,
  ...SCAN_GRADIENTS,
  STRIDED_SLICE_GRADIENT,
  ...VALUES_FOR_GRADIENTS,
]);

/**
 * Registers the gradients. Importing `@tfjs-peft/kernels/gradients` does so; call it after {@link
 * unregister}, or where tfjs was imported later and has registered its own over them. Calling it again is
 * harmless.
 *
 * @example
 * ```ts
 * import {register} from '@tfjs-peft/kernels/gradients';
 *
 * register();
 * ```
 */
export function register(): void {
  patches.apply();
}

/**
 * Restores tfjs's own gradients.
 *
 * @example
 * ```ts
 * import {unregister} from '@tfjs-peft/kernels/gradients';
 *
 * unregister();
 * ```
 */
export function unregister(): void {
  patches.restore();
}

register();
