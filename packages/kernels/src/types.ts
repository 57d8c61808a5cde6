import type {Tensor, Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import type {PackedKernel} from './packed/matrix.js';

/** Activations that the fused ops compute, in the order that the wasm module numbers them. */
export const ACTIVATIONS = [
  'linear',
  'relu',
  'relu6',
  'elu',
  'tanh',
  'sigmoid',
  'silu',
  'gelu',
  'geluTanh',
] as const;

/**
 * `gelu` is the exact form x·Φ(x), `geluTanh` its tanh approximation, `silu` is x·sigmoid(x) (Keras calls
 * it swish), `elu` has alpha 1.
 */
export type Activation = (typeof ACTIVATIONS)[number];

/**
 * Whether the derivative is computed from the activation's `output` or from its `input`; the op saves the
 * one that is needed.
 *
 * @example
 * ```ts
 * import {gradientFrom} from '@tfjs-peft/kernels';
 *
 * const saved = gradientFrom('relu'); // 'output'
 * ```
 */
export function gradientFrom(activation: Activation): 'output' | 'input' {
  return activation === 'silu' || activation === 'gelu' || activation === 'geluTanh' ? 'input' : 'output';
}

/**
 * A scale over the last axis: a vector [d], or one vector per row, `gates` [..., E] times `table` [E, d].
 *
 * With `heads` each of so many equal runs of the axis has gates of its own, [..., heads, E]: column c of
 * row n, in head h = floor(c / (d / heads)), is scaled by the sum over e of gates[n, h, e] · table[e, c].
 */
export type Scale = Tensor1D | {gates: Tensor; table: Tensor2D; heads?: number};

/** The scales of a site, each over its input or its output. */
export const SCALES = ['pre', 'alpha', 'beta', 'post'] as const;

export type ScaleName = (typeof SCALES)[number];

/**
 * How `h` [n, R1] becomes the tail's left factor before it meets `b` [R2, dOut].
 * - `none`: h itself, R1 = R2.
 * - `expert`: h holds E experts side by side (expert-major, R1 = R2 = E·r); each expert's block is
 *   multiplied by its gate, gates [n, E] (MoLoRA).
 * - `dense`: row n is h[n] · G[n] with G [R1, R2], gates [n, R1·R2] (MoR1E).
 */
export type Mix = 'none' | 'expert' | 'dense';

/** The parts of a site's expression that an adapter may fill in; see {@link CombineInputs}. */
export interface CombineParts {
  /** Scale of the input x, over dIn. */
  pre?: Scale;
  /** Scale of the base product, over dOut. */
  alpha?: Scale;
  /** Scale of the low-rank tail, over dOut. */
  beta?: Scale;
  /** Scale of the activated output, over dOut. */
  post?: Scale;
  /** Left factor of the low-rank tail, [..., R1]. */
  h?: Tensor;
  /** Right factor of the low-rank tail, [R2, dOut]. */
  b?: Tensor2D;
  /** Gates that mix `h`: [..., E] for `expert`, [..., R1·R2] for `dense`. */
  gates?: Tensor;
  /** Added before the activation, [dOut]. */
  offset?: Tensor1D;
  /** Factor of the low-rank tail, such as alpha/r. Default 1. */
  scale?: number;
  /** Default `none`. */
  mix?: Mix;
  /**
   * With `mix: 'expert'`: the maximum number of non-zero gates per row, as after a top-k mask:
   * then, where it costs less, only the chosen experts are computed (see `sparsePays`). The gradient of a
   * gate that is zero is then 0, and not what it would be if the gate were free: a top-k mask multiplies it
   * by 0 in any case. Default: none, all experts are computed.
   */
  topK?: number;
  /**
   * With `topK`: compute only the chosen experts (true), or all (false), whatever it costs. Default: by
   * cost.
   */
  sparse?: boolean;
}

/**
 * Inputs of {@link combine}: the base product's (`x`, `kernel`, `bias`; or `z` as given), and an adapter's
 * parts.
 */
export interface CombineInputs extends CombineParts {
  /** [..., dIn], float32. */
  x?: Tensor;
  /** [dIn, dOut], float32, or packed; see `packMatrix` and `transposePacked`. */
  kernel?: Tensor2D | PackedKernel;
  /** [dOut]; only with `x`. */
  bias?: Tensor1D;
  /** The base output [..., dOut], instead of `x` and `kernel`. */
  z?: Tensor;
  /** Default `linear`. */
  activation?: Activation;
}
