import type {Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import {keepsHalves, matMul} from '@tfjs-peft/kernels';
import {type AddWeight, checkCount, checkPositive, type Init, type Weight} from '@tfjs-peft/routers';
import type {PlainInit} from '../random.js';
import type {SiteDims} from './adapter.js';

/** The size of a low-rank change, which is scaled by alpha / rank. */
export interface Scaled {
  rank: number;
  alpha: number;
}

/** Default of alpha / rank, so that the scale is the same at every rank and for every adapter. */
const DEFAULT_SCALE = 2;

/**
 * The rank and alpha of a config with their defaults: `fallback`, and twice the rank.
 *
 * @throws ConfigError if rank is not an integer of at least 1, or alpha is not above 0.
 */
export function checkScale(what: string, config: Partial<Scaled>, fallback: number): Scaled {
  const rank = checkCount(what, 'rank', config.rank, {fallback});
  return {rank, alpha: checkPositive(what, 'alpha', config.alpha, DEFAULT_SCALE * rank)};
}

/** The factor of the product A B. */
export function scaleOf({rank, alpha}: Scaled): number {
  return alpha / rank;
}

/** Standard deviation of A's initial values, from the authors' code of MoV and MoLoRA. */
export const A_STDDEV = 0.02;

/**
 * Kaiming's uniform distribution with a = √5, as in PyTorch's linear layers and the factor A of most released
 * LoRA code.
 */
export function kaiming(inputDim: number): PlainInit {
  const bound = 1 / Math.sqrt(inputDim);
  return {type: 'uniform', low: -bound, high: bound};
}

/**
 * Declares the factors `lora_A` [inputDim, down] and `lora_B` [up, outputDim]. B starts at zero, so the site
 * starts unchanged. At a lookup, A starts at zero instead and B from N(0, 1), as in Hugging Face's PEFT.
 *
 * @param random Initial values of A.
 * @param fixed Freeze the factor that does not start at zero. Default false.
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
 * The Euclidean norm of each column of kernel + scale · a b, [dOut], without making that matrix: |w + s A b|²
 * = |w|² + b · (2 s Aᵀw + s² AᵀA b). Columns that are zero have the least norm of {@link root}, so that
 * nothing divides by zero.
 */
export function columnNorms({kernel, a, b, scale}: Change): Tensor1D {
  return tf.tidy(() => {
    const crossed = tf.mul(matMul(a, kernel, true), 2 * scale);
    const squared = tf.mul(matMul(matMul(a, a, true), b), scale * scale);
    const changed = tf.sum(tf.mul(b, tf.add(crossed, squared)), 0);
    const squares = tf.add(tf.sum(tf.square(kernel), 0), changed);
    return root(squares) as Tensor1D;
  });
}

/**
 * The smallest norm: what float32 holds or, on textures of halves, the value below which squares are zero.
 */
const leastNorm = (): number => (keepsHalves() ? 2 ** -12 : 1e-6);

/** √x, but at least the smallest norm; there the gradient is 0 instead of unbounded. */
function root(x: tf.Tensor): tf.Tensor {
  const rooted = tf.customGrad((...args) => {
    const [squares, save] = args as [tf.Tensor, tf.GradSaveFunc];
    // Rounding can leave a little less than zero, whose root is not a number.
    const value = tf.maximum(tf.sqrt(tf.relu(squares)), leastNorm());
    save([value]);
    const gradFunc = (dy: tf.Tensor, [norm]: tf.Tensor[]): tf.Tensor =>
      tf.where(tf.greater(norm!, leastNorm() * 1.001), tf.div(dy, tf.mul(norm!, 2)), tf.zerosLike(dy));
    return {value, gradFunc};
  });
  return rooted(x);
}
