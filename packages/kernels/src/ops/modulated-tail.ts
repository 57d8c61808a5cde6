import * as tf from '@tensorflow/tfjs-core';
import type {KernelInputs} from '../kernel-map.js';
import {runPeftKernel} from './kernels.js';
import {product} from './matmul.js';
import type {SharedGradients} from './shared-gradients.js';

type Named = KernelInputs<'PeftCombine', tf.Tensor2D>;

/** For smaller outputs, the number of kernels counts, not the passes over the output. */
const LEAST_OUTPUT = 2 ** 17;
/** One pass over an output costs as much as this many columns of products. */
const COLUMNS_A_PASS = 14;

/**
 * Whether {@link modulatedTail} is faster than computing the gradients factor by factor. The latter takes
 * three products of rank columns, three of E columns, and three arrays of the output's size; the former takes
 * two products of rank · E columns and no such array.
 */
export function modulatedPays({h, b, betaGates, betaTable}: Named): boolean {
  if (betaGates === undefined || betaTable === undefined) return false;
  const [rank, experts] = [b!.shape[0], betaTable.shape[0]];
  const output = h!.shape[0] * b!.shape[1];
  return output >= LEAST_OUTPUT && 2 * rank * experts <= 3 * (rank + experts) + 3 * COLUMNS_A_PASS;
}

/**
 * Gradients of the tail (gates · table) ∘ scale · h b, as LiME has it. With M the rank · E products b_i ∘
 * table_e it is scale · Σ_ie h_i gates_e M_ie, a mixture of low rank: all goes through du Mᵀ and (h ⊗ gates)ᵀ
 * du, and nothing of the output's size is written.
 */
export function modulatedTail(
  {h, b, betaGates: gates, betaTable: table}: Named,
  du: tf.Tensor2D,
  scale: number,
  shared: SharedGradients,
): Record<string, () => tf.Tensor> {
  const [rank, width] = b!.shape;
  const experts = table!.shape[0];
  const down = tf.reshape(b!, [rank, 1, width]);
  const across = tf.reshape(table!, [1, experts, width]);
  const reached = shared.make(() => {
    const matrices = tf.reshape(tf.mul(down, across), [rank * experts, width]) as tf.Tensor2D;
    return product(du, matrices, false, true, scale);
  });
  // The gradient of h_i gates_ie with respect to both, where du Mᵀ stands for the gates: h's own gradient,
  // and the outer product.
  const [dh, outer] = shared.make(() =>
    runPeftKernel('PeftMixGrad', {dhm: gates!, h: h!, gates: reached}, {mix: 'dense'}),
  );
  const through = shared.make(() =>
    tf.reshape(product(outer!, du, true, false, scale), [rank, experts, width]),
  );
  return {
    h: () => shared.take(dh!),
    betaGates: () => runPeftKernel('PeftMix', {h: h!, gates: reached}, {mix: 'dense'}),
    b: () => tf.sum(tf.mul(through, across), 1),
    betaTable: () => tf.sum(tf.mul(through, down), 0),
  };
}
