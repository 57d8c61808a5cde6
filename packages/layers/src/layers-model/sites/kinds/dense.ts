import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {layerActivation, type StockActivation} from '../../../core/sites/activation.js';
import {inside} from '../../../core/tfjs/internals.js';
import type {LayerSite} from '../layer-site.js';

/** The private fields of a stock layer with a kernel that sites read. */
export interface KernelInternals {
  readonly activation: StockActivation;
  readonly kernel: tfl.LayerVariable | null;
  readonly bias?: tfl.LayerVariable | null;
}

/** The bias as a site's frozen weights have it. */
export function vectorOf(bias: tfl.LayerVariable | null | undefined): {bias?: tf.Tensor1D} {
  return bias == null ? {} : {bias: bias.read() as tf.Tensor1D};
}

/** A Dense: a plain product over the last axis, which the fused ops run whole. */
export const DENSE: LayerSite = {
  kind: 'dense',
  matrix: (layer) => inside<KernelInternals>(layer).kernel!,
  weights: (layer) => {
    const {kernel, bias} = inside<KernelInternals>(layer);
    return {kernel: kernel!, bias};
  },
  operation(layer) {
    const dense = inside<KernelInternals>(layer);
    return {
      get dims() {
        const [inputDim, outputDim] = dense.kernel!.shape as [number, number];
        return {inputDim, outputDim};
      },
      get frozen() {
        return {kernel: dense.kernel!.read() as tf.Tensor2D, ...vectorOf(dense.bias)};
      },
      get activation() {
        return layerActivation(dense.activation);
      },
    };
  },
};
