import type * as tf from '@tensorflow/tfjs-core';
import {shared} from '@tfjs-peft/kernels';
import type {GraphNode} from './internals.js';
import type {TrainedVariable} from './training/graph-layer.js';

/** A node with trained variables that is there besides what an upgrade adapts. */
export interface AddedNode {
  name: string;
  variables: readonly TrainedVariable[];
  /** Nodes whose own outputs it reads, so that no other node may do their work. */
  reads: ReadonlySet<GraphNode>;
  /** A trainer is about to run a batch. */
  begin(): void;
  /** Gives what a trainer takes from the front, in place of `run` on all inputs. */
  front?: RunFront | undefined;
}

/**
 * @param inputs By the names of their nodes.
 * @param names What is wanted.
 * @param run Computes that.
 */
export type RunFront = (
  inputs: tf.NamedTensorMap,
  names: readonly string[],
  run: (inputs: tf.NamedTensorMap) => Promise<tf.Tensor[]>,
) => Promise<tf.Tensor[]>;

/** By model, while the node runs. */
const added = shared('layers.added-nodes', () => new WeakMap<object, AddedNode>());

/** The node that is added to a model now, if there is one. */
export function addedNode(model: object): AddedNode | undefined {
  return added.get(model);
}

export function setAddedNode(model: object, node: AddedNode | undefined): void {
  if (node === undefined) added.delete(model);
  else added.set(model, node);
}
