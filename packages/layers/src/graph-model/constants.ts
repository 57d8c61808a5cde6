import type * as tf from '@tensorflow/tfjs-core';
import {attribute, type Executor, type GraphNode} from './internals.js';

/** A frozen weight of a graph. */
export interface Constant {
  /** The name of its Const node. */
  name: string;
  shape: number[];
  dtype: tf.DataType;
  /** The node that takes it, and as which input. */
  user: {node: GraphNode; input: number};
  /** Its value now: the tensor that the executor holds. */
  read(): tf.Tensor;
}

/** Ops that only pass on their input. */
const PASSING = new Set(['Identity', 'StopGradient', 'Snapshot', 'PreventGradient']);

/** Whether a node only passes on its input. */
export function isPassing({op}: GraphNode): boolean {
  return PASSING.has(op);
}

/** Whether a node adds two tensors, of any shapes. */
export function isAdding({op}: GraphNode): boolean {
  return op === 'Add' || op === 'AddV2';
}

/**
 * The constant that a node gets at one of its inputs, through nodes that only pass it on; undefined if the
 * input is computed.
 */
export function constantAt(executor: Executor, node: GraphNode, input: number): Constant | undefined {
  let source = node.inputs[input];
  while (source !== undefined && (isPassing(source) || isFloatCast(source))) source = source.inputs[0];
  if (source === undefined) return undefined;
  const {name} = source;
  if (!Object.hasOwn(executor.weightMap, name)) return undefined;
  const read = () => executor.weightMap[name]![0]!;
  const {shape, dtype} = read();
  return {name, shape, dtype, user: {node, input}, read};
}

/** Half precision is float32 in tfjs, so a cast between the two does nothing. */
function isFloatCast(node: GraphNode): boolean {
  return node.op === 'Cast' && attribute(node, 'dtype') === 'float32' && node.inputs[0]?.op === 'Const';
}

/**
 * The one node that takes this one's output; undefined if there are others, or the
 * output is one of the model's own.
 */
export function soleConsumer(executor: Executor, node: GraphNode): GraphNode | undefined {
  const consumers = new Set(node.children);
  if (consumers.size !== 1 || executor.graph.outputs.includes(node)) return undefined;
  return [...consumers][0];
}
