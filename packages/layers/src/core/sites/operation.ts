import type {Tensor, Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import type {Activation} from '@tfjs-peft/kernels';
import type {SiteDims} from '../adapters/adapter.js';

/** The frozen weights of a site, from which some of an adapter's start. */
export interface FrozenBase {
  /** The kernel as a matrix [inputDim, outputDim]: every weight that one output column is computed from is in that column. */
  kernel: Tensor2D;
  /** [outputDim]. */
  bias?: Tensor1D;
}

/** What an operation applies to its output in the end. */
export interface SiteActivation {
  /** Its name in the fused ops, if they have it. */
  fused?: Activation;
  apply(x: Tensor): Tensor;
}

/**
 * A frozen operation z = x W + b that a site runs on. It is all that a site knows of what it adapts: a layer, a node of a graph, or
 * something of the user's own.
 *
 * A plain product over the last axis says no more than `dims`, `frozen` and `activation`: the site then runs the fused ops. Another one
 * says how it multiplies: by W in `base`, and by a matrix of A's shape [inputDim, R] in `project`.
 */
export interface Operation {
  /** Known once the weights are there. */
  readonly dims: SiteDims;
  readonly frozen: FrozenBase;
  /** Default: linear. */
  readonly activation?: SiteActivation | undefined;
  /** x W + b, [..., outputDim], before the activation. Default: a product over the last axis, with the adapter's part fused in. */
  base?(x: Tensor): Tensor;
  /** x A for a matrix A [inputDim, R], [..., R] with the output's leading axes. Default: a product over the last axis. */
  project?(x: Tensor, a: Tensor2D): Tensor;
  /** What routers see of the input, [..., routerDim] with the output's leading axes. Default: the input itself. */
  routed?(x: Tensor): Tensor;
}
