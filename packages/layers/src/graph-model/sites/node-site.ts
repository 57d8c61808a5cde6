import type * as tf from '@tensorflow/tfjs-core';
import type {Operation} from '../../core/sites/operation.js';
import type {Constant} from '../constants.js';
import type {Absorbed} from '../epilogue.js';
import type {Executor, GraphNode} from '../internals.js';

/** How a node of a graph is a site. */
export interface NodeSite {
  /** What reports call it, such as `dense`. */
  kind: string;
  operation: Operation;
  weight: Constant;
  bias?: Constant;
  /** Nodes behind it, whose work the site does while it has an adapter. */
  absorbed: readonly Absorbed[];
  /**
   * The last axes of the output of the last of these nodes, which the columns
   * are; undefined if that is not known.
   */
  tail: number[] | undefined;
  /** The weight as the node has it, of a kernel as a matrix. Default: in the weight's own shape. */
  restore?(kernel: tf.Tensor2D): tf.Tensor;
  /** The operation's input, of the node's. Default: the first. */
  input?(inputs: tf.Tensor[]): tf.Tensor;
  /** The node's output, of the operation's. Default: that output. */
  finish?(output: tf.Tensor, inputs: tf.Tensor[]): tf.Tensor;
  /** Gives back what the site itself made. */
  dispose?(): void;
}

/** Why a node of an op that can be a site cannot: a text that goes on behind `a MatMul that`. */
export interface Refusal {
  reason: string;
}

/** Looks at a node of some op. It makes nothing that would have to be given back. */
export type MatchNode = (executor: Executor, node: GraphNode) => NodeSite | Refusal;

export function isRefusal(match: NodeSite | Refusal): match is Refusal {
  return 'reason' in match;
}
