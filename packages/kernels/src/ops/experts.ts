import * as tf from '@tensorflow/tfjs-core';
import type {DownAttrs, OuterAttrs, UpAttrs} from '../kernel-attrs.js';
import {definePeftGradient} from './gradients.js';
import {runPeftKernel} from './kernels.js';

/*
 * Products over the experts that a row chose, which are those whose gate is not zero. R = E·r columns hold
 * the experts' ranks side by side, and `gates` is [n, E]. Only backends that gain by it have these kernels;
 * elsewhere the dense products serve.
 */

/** scale · x w [n, R], zero where a row did not choose the expert. */
export function expertDown(
  inputs: {x: tf.Tensor2D; w: tf.Tensor2D; gates: tf.Tensor2D},
  attrs: DownAttrs,
): tf.Tensor2D {
  return runPeftKernel('PeftExpertDown', inputs, attrs) as tf.Tensor2D;
}

/** scale · p w [n, d], for the blocks of p that a row chose. */
export function expertUp(
  inputs: {p: tf.Tensor2D; w: tf.Tensor2D; gates: tf.Tensor2D},
  attrs: UpAttrs,
): tf.Tensor2D {
  return runPeftKernel('PeftExpertUp', inputs, attrs) as tf.Tensor2D;
}

/** scale · pᵀ q [R, d], for the blocks of p that a row chose. */
export function expertOuter(
  inputs: {p: tf.Tensor2D; q: tf.Tensor2D; gates: tf.Tensor2D},
  attrs: OuterAttrs,
): tf.Tensor2D {
  return runPeftKernel('PeftExpertOuter', inputs, attrs) as tf.Tensor2D;
}

definePeftGradient('PeftExpertDown', {inputs: ['x', 'w', 'gates']}, ({dy, inputs, attrs}) => {
  const {x, w, gates} = inputs as Record<'x' | 'w' | 'gates', tf.Tensor2D>;
  const p = dy as tf.Tensor2D;
  const {scale, transposeW} = attrs;
  return {
    x: () => expertUp({p, w, gates}, {scale, weigh: false, transposeW: !transposeW}),
    w: () => expertOuter({p, q: x, gates}, {scale, weigh: false, transposed: !transposeW}),
    // They only say which experts are computed.
    gates: () => tf.zerosLike(gates),
  };
});
