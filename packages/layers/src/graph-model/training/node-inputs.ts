import type {GraphNode} from '../internals.js';
import {type Endpoint, inputOf} from './endpoint.js';

/** What tfjs-converter takes from an input of a node. */
export type InputKind =
  /** A tensor: a gradient can flow back through it. */
  | 'tensor'
  /** Numbers that it reads: the output changes with them, but no gradient does. */
  | 'values'
  /** Nothing: that node only has to run before, as TensorFlow's control inputs say. */
  | 'order';

/** What a node takes from each of its inputs. */
export function inputKindsOf({inputs, inputParams}: GraphNode): InputKind[] {
  const params = Object.values(inputParams ?? {});
  // A custom op gets all inputs that the file lists.
  if (params.length === 0) return inputs.map(() => 'tensor');
  const edges = inputs.map((): InputKind => 'order');
  for (const {type, inputIndexStart: start, inputIndexEnd: end} of params) {
    if (start === undefined) continue;
    // Resolved like getParamValue of the converter: an end of 0 is the end of the list.
    const first = start < 0 ? inputs.length + start : start;
    const last = end === undefined ? first + 1 : end > 0 ? end : inputs.length + end;
    const edge = type === 'tensor' || type === 'tensors' ? 'tensor' : 'values';
    edges.fill(edge, first, type === 'tensors' ? last : first + 1);
  }
  return edges;
}

/** The nodes that take a tensor (or, if asked for, numbers) from this one. */
export function consumersOf(node: GraphNode, kinds: readonly InputKind[]): GraphNode[] {
  return [...new Set(node.children)].filter((child) => {
    const edges = inputKindsOf(child);
    return child.inputs.some((input, i) => input === node && kinds.includes(edges[i]!));
  });
}

/** The inputs from which a node takes a tensor (or, if asked for, numbers), by their number. */
export function inputsOfKind(node: GraphNode, kinds: readonly InputKind[]): number[] {
  return inputKindsOf(node).flatMap((edge, i) => (kinds.includes(edge) ? [i] : []));
}

/** The inputs that a node needs to run: all up to the last that it reads. Control inputs come after these. */
export function runInputs(node: GraphNode): Endpoint[] {
  const edges = inputKindsOf(node);
  const count = edges.reduce((last, edge, i) => (edge === 'order' ? last : i + 1), 0);
  return Array.from({length: count}, (_, i) => inputOf(node, i));
}

/** The kinds of input that determine the output of a node. */
export const DATA: readonly InputKind[] = ['tensor', 'values'];

/** The kinds of input through which a gradient can flow back. */
export const TENSORS: readonly InputKind[] = ['tensor'];
