import type {Tensor, Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import type {Activation} from '@tfjs-peft/kernels';
import type {SiteDims} from '../adapters/adapter.js';

/** The frozen weights of a site. Some weights of adapters start from them. */
export interface FrozenBase {
  /**
   * The kernel as a matrix [inputDim, outputDim]: each column holds all weights of one output column. If it
   * is quantised, ops that are given it unpack it, so use it only where its numbers are needed.
   */
  kernel: Tensor2D;
  /** [outputDim]. */
  bias?: Tensor1D;
}

/** The activation at the end of an operation. */
export interface SiteActivation {
  /** Its name in the fused ops, if they support it. */
  fused?: Activation;
  apply(x: Tensor): Tensor;
}

/**
 * The frozen operation z = x W + b of a site, which can belong to a layer, a graph node or your own code.
 *
 * For a plain product over the last axis, `dims`, `frozen` and `activation` are enough: the site then runs
 * the fused ops. Other operations define the product by W in `base`, and by a matrix A [inputDim, R] in
 * `project`.
 */
export interface Operation {
  /** Known once the weights exist. */
  readonly dims: SiteDims;
  readonly frozen: FrozenBase;
  /** Default: linear. */
  readonly activation?: SiteActivation | undefined;
  /**
   * x W + b, [..., outputDim], before the activation. Default: a product over the last axis, with the
   * adapter's part fused in.
   */
  base?(x: Tensor): Tensor;
  /**
   * x A for a matrix A [inputDim, R], [..., R] with the output's leading axes. Default: a product over the
   * last axis.
   */
  project?(x: Tensor, a: Tensor2D): Tensor;
  /** The routers' input, [..., routerDim] with the output's leading axes. Default: the input itself. */
  routed?(x: Tensor): Tensor;
}
