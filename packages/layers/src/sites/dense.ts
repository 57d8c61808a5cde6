import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {layerActivation, type StockActivation} from './activation.js';
import type {LayerSite} from './layer-site.js';
import type {FrozenBase} from './operation.js';

/** The private fields of a stock layer with one kernel that sites read. */
export interface KernelInternals {
  readonly activation: StockActivation;
  readonly kernel: tfl.LayerVariable | null;
  readonly bias: tfl.LayerVariable | null;
}

/** A kernel variable as a matrix with so many columns, and the bias. */
export function frozenOf({kernel, bias}: KernelInternals): FrozenBase {
  const vector = bias?.read() as tf.Tensor1D | undefined;
  return {kernel: kernel!.read() as tf.Tensor2D, ...(vector && {bias: vector})};
}

/** A Dense: a plain product over the last axis, which the fused ops run whole. */
export const DENSE: LayerSite = {
  kind: 'dense',
  operation(layer) {
    const dense = layer as unknown as KernelInternals;
    return {
      get dims() {
        const [inputDim, outputDim] = dense.kernel!.shape as [number, number];
        return {inputDim, outputDim};
      },
      get frozen() {
        return frozenOf(dense);
      },
      get activation() {
        return layerActivation(dense.activation);
      },
    };
  },
};
