import type * as tf from '@tensorflow/tfjs-core';
import {shared} from '@tfjs-peft/kernels';
import type {GraphNode} from './internals.js';

/**
 * The op of every node of a loaded model that runs our code, and of such nodes in files of the first version.
 * tfjs has one table of ops for all models, so each node tells which code to run: by a number in an upgraded
 * model, in full in one that was saved with its adapters.
 */
export const SITE_OP = 'TfjsPeftSite';

/**
 * The op of such nodes in files. If it is not registered, tfjs reports only its name, so the name says what
 * to do.
 */
export const SAVED_SITE_OP = `${SITE_OP} (import @tfjs-peft/layers/graph)`;

/** All ops that files have, those of 0.1.0 among them. */
export const SITE_OPS: readonly string[] = [SITE_OP, `${SITE_OP} (import @tfjs-peft/layers)`, SAVED_SITE_OP];

/** Computes a node's output of its inputs, in their order in the graph. */
export type RunNode = (inputs: tf.Tensor[]) => tf.Tensor;

interface Table {
  next: number;
  /** Held weakly, so that an unused model can be collected without having been detached. */
  readonly runs: Map<number, WeakRef<RunNode>>;
}

/** One table for the ESM and CJS copies of this package: the later of their two registrations serves both. */
const table = shared('layers.graph-nodes', (): Table => ({next: 1, runs: new Map()}));

/**
 * Nodes of one graph that run other code than their own op's; the graph, and the order in which the executor
 * runs it, stay as they are. Other models are not affected: a node is changed in the executor's own copy of
 * this one model, and `save` writes the file that the model was loaded from.
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
