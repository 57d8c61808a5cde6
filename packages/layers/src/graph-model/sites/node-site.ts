import type * as tf from '@tensorflow/tfjs-core';
import type {Operation} from '../../core/sites/operation.js';
import type {MatrixPlace} from '../../core/tfjs/packed-variable.js';
import type {Constant} from '../constants.js';
import type {Absorbed} from '../epilogue.js';
import type {Executor, GraphNode} from '../internals.js';

/** How a node of a graph is a site. */
export interface NodeSite {
  /** What reports call it, such as `dense`. */
  kind: string;
  operation: Operation;
  weight: Constant;
  /** How the kernel matrix lies in the weight, if it can be packed: if the node does nothing else with it. */
  place?: MatrixPlace;
  bias?: Constant;
  /** Nodes behind it, whose work the site does while it has an adapter. */
  absorbed: readonly Absorbed[];
  /** The last axes of the output of the last of these nodes, which hold the columns; undefined if unknown. */
  tail: number[] | undefined;
  /** Turns a kernel matrix into the form that the node uses. Default: the shape of the weight. */
  restore?(kernel: tf.Tensor2D): tf.Tensor;
  /** Makes the input of the operation from the inputs of the node. Default: the first one. */
  input?(inputs: tf.Tensor[]): tf.Tensor;
  /** Makes the output of the node from that of the operation. Default: the same. */
  finish?(output: tf.Tensor, inputs: tf.Tensor[]): tf.Tensor;
  /** Disposes what the site itself made. */
  dispose?(): void;
}

/** Why a node cannot be a site although its op can: a text that continues `a MatMul that`. */
export interface Refusal {
  reason: string;
}

/** Looks at a node of some op. It makes nothing that has to be disposed. */
export type MatchNode = (executor: Executor, node: GraphNode) => NodeSite | Refusal;

export function isRefusal(match: NodeSite | Refusal): match is Refusal {
  return 'reason' in match;
}
