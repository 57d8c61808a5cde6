import type {Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, describe, keepsHalves, matMul} from '@tfjs-peft/kernels';
import {
  type AddWeight,
  checkBoolean,
  checkCount,
  checkNumber,
  type Init,
  type Weight,
} from '@tfjs-peft/routers';
import type {PlainInit} from '../random.js';
import type {SiteDims} from './adapter.js';

/** How a low-rank change is scaled. */
export interface ScaleOptions {
  /**
   * The change is scaled by alpha / rank. As in PEFT it may be negative, which takes the change away; 0 is
   * refused, since the adapter would have no gradient. Default 2 · rank, or 16 with `useRslora`.
   */
  alpha?: number;
  /**
   * Scale by alpha / √rank instead (rsLoRA, Kalajdzievski, arXiv 2312.03732, as PEFT's `use_rslora`). Default
   * false.
   */
  useRslora?: boolean;
}

/** Names of the options of a change's size and scale. */
export const SCALE_OPTIONS = ['rank', 'alpha', 'useRslora'] as const;

/** The size and scale of a low-rank change; `useRslora` is there only if it is set. */
export interface Scaled {
  rank: number;
  alpha: number;
  useRslora?: true;
}

/** Default of alpha / rank, so that the scale is the same at every rank and for every adapter. */
const DEFAULT_SCALE = 2;

/** One alpha for all ranks, as rank-stabilised scaling wants it; that of the default rank 8. */
const RSLORA_ALPHA = 16;

/**
 * The rank and scale of a config with their defaults.
 *
 * @param fallback The default rank.
 * @throws ConfigError if rank is not an integer of at least 1, alpha is 0 or no number, or useRslora is no
 * boolean.
 */
export function checkScale(what: string, config: ScaleOptions & {rank?: number}, fallback: number): Scaled {
  const rank = checkCount(what, 'rank', config.rank, {fallback});
  const stable = checkBoolean(what, 'useRslora', config.useRslora, false);
  const usual = stable ? RSLORA_ALPHA : DEFAULT_SCALE * rank;
  const alpha = checkNumber(what, 'alpha', config.alpha, {fallback: usual});
  if (Math.fround(alpha) === 0) {
    throw new ConfigError(
      `${what}: alpha is ${describe(alpha)}, so the adapter would change nothing and have no gradient. ` +
        'Set alpha to a number other than 0, or disable the adapter.',
    );
  }
  return {rank, alpha, ...(stable && {useRslora: true as const})};
}

/** The factor of the product A B. */
export function scaleOf({rank, alpha, useRslora}: Scaled): number {
  return alpha / (useRslora ? Math.sqrt(rank) : rank);
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

/** Whether the factor B of a change has a bias. */
export interface BiasOption {
  /**
   * Give B a bias, weight `lora_B_bias` [outputDim] from zeros: (x A) B + b, all of it scaled, as with PEFT's
   * `lora_bias`. Default false.
   */
  loraBias?: boolean;
}

/** The bias of the factor B, for the adapters that can have one. */
export class LoraBias {
  /** The option, if it is set. */
  readonly config: {loraBias?: true};
  private vector?: Weight;

  /** @throws ConfigError if `loraBias` is no boolean. */
  constructor(what: string, {loraBias}: BiasOption) {
    this.config = checkBoolean(what, 'loraBias', loraBias, false) ? {loraBias: true} : {};
  }

  build({outputDim}: SiteDims, add: AddWeight): void {
    if (this.config.loraBias) this.vector = add('lora_B_bias', [outputDim], {type: 'zeros'});
  }

  parts(scale: number): {offset?: Tensor1D} {
    return this.vector === undefined ? {} : {offset: tf.mul(this.vector.read(), scale) as Tensor1D};
  }
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
