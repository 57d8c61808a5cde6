import type {Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import {matMul} from '@tfjs-peft/kernels';
import type {AddWeight, Init, Weight} from '@tfjs-peft/routers';
import type {SiteDims} from './adapter.js';

/** Kaiming's uniform distribution with a = √5, as PyTorch starts a linear layer and most released LoRA code the factor A. */
export function kaiming(inputDim: number): Init {
  const bound = 1 / Math.sqrt(inputDim);
  return {type: 'uniform', low: -bound, high: bound};
}

/**
 * The two factors `lora_A` [inputDim, down] and `lora_B` [up, outputDim], one of which starts at zero, so that the site starts
 * unchanged: B. Where A is looked up, it is A instead, and B starts from N(0, 1), as in Hugging Face's PEFT.
 *
 * @param random How A starts.
 * @param fixed Keep the factor that does not start at zero as it is. Default false.
 */
export function addFactors(
  add: AddWeight,
  {inputDim, outputDim, kind}: SiteDims,
  {down, up, random, fixed = false}: {down: number; up: number; random: Init; fixed?: boolean},
): {a: Weight; b: Weight} {
  const lookup = kind === 'lookup';
  const zeros: Init = {type: 'zeros'};
  const a = add('lora_A', [inputDim, down], lookup ? zeros : random, lookup || !fixed);
  const b = add('lora_B', [up, outputDim], lookup ? {type: 'normal', stddev: 1} : zeros, !lookup || !fixed);
  return {a, b};
}

/** A low-rank change of a frozen kernel: kernel [dIn, dOut] + scale · a b. */
export interface Change {
  kernel: Tensor2D;
  a: Tensor2D;
  b: Tensor2D;
  scale: number;
}

/**
 * The Euclidean norm of each column of kernel + scale · a b, [dOut], without making that matrix:
 * |w + s A b|² = |w|² + b · (2 s Aᵀw + s² AᵀA b). All columns that are zero have a norm of 1e-6, so that nothing divides by zero.
 */
export function columnNorms({kernel, a, b, scale}: Change): Tensor1D {
  return tf.tidy(() => {
    const crossed = tf.mul(matMul(a, kernel, true), 2 * scale);
    const squared = tf.mul(matMul(matMul(a, a, true), b), scale * scale);
    const changed = tf.sum(tf.mul(b, tf.add(crossed, squared)), 0);
    const squares = tf.add(tf.sum(tf.square(kernel), 0), changed);
    // Rounding can leave a little less than zero, whose root is not a number.
    return tf.sqrt(tf.add(tf.relu(squares), 1e-12)) as Tensor1D;
  });
}
