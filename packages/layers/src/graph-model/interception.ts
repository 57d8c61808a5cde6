import type * as tf from '@tensorflow/tfjs-core';
import {shared} from '@tfjs-peft/kernels';
import type {GraphNode} from './internals.js';
import {SITE_OP} from './site-op.js';

/** Computes a node's output of its inputs, in their order in the graph. */
export type RunNode = (inputs: tf.Tensor[]) => tf.Tensor;

interface Table {
  next: number;
  /** Weakly held, so that a model that nobody uses any more can go without having been detached. */
  readonly runs: Map<number, WeakRef<RunNode>>;
}

/** One table for an ESM and a CJS copy of this package, of whose two registrations the later one holds for both. */
const table = shared('layers.graph-nodes', (): Table => ({next: 1, runs: new Map()}));

/**
 * Nodes of one graph that run other code than their own op's; the graph, and the order in which the executor runs it, stay as they
 * are. Other models are not concerned: a node is changed in the executor's own copy of this one model, and `save` writes the file that
 * the model was loaded from.
 */
export class Interception {
  private readonly originals = new Map<
    GraphNode,
    Pick<GraphNode, 'op' | 'category' | 'rawAttrs'> & {id: number; run: RunNode}
  >();

  /** Lets a node run other code. */
  set(node: GraphNode, run: RunNode): void {
    const id = table.next++;
    const {op, category, rawAttrs} = node;
    table.runs.set(id, new WeakRef(run));
    this.originals.set(node, {op, category, rawAttrs, id, run});
    node.op = SITE_OP;
    node.category = 'custom';
    // A new object: the old one belongs to the file that the model was loaded from.
    node.rawAttrs = {site: {i: id}};
  }

  /** Brings all nodes back exactly as they were. */
  clear(): void {
    for (const [node, {op, category, rawAttrs, id}] of this.originals) {
      Object.assign(node, {op, category, rawAttrs});
      table.runs.delete(id);
    }
    this.originals.clear();
  }
}

/** The code that an intercepted node runs now; undefined for any other. */
export function runOf({op, rawAttrs}: GraphNode): RunNode | undefined {
  const {i: id} = (rawAttrs?.site ?? {}) as {i?: number};
  return op === SITE_OP && id !== undefined ? (inputs) => runIntercepted(id, inputs) : undefined;
}

/** Runs the node of that number. */
export function runIntercepted(id: number, inputs: tf.Tensor[]): tf.Tensor {
  return table.runs.get(id)!.deref()!(inputs);
}
