import * as tf from '@tensorflow/tfjs-core';
import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import {constantAt, isPassing} from './constants.js';
import {attribute, type Executor, type GraphNode} from './internals.js';

/** What is known about the shape of a product, or of a product after nodes that reshape it. */
export interface Axes {
  /**
   * The last axes, which hold the columns of the product. `unknown` if they show only at run time, `mixed` if
   * columns share an axis with rows, `any` if the maker of the graph vouches for them.
   */
  columns: number[] | 'unknown' | 'mixed' | 'any';
  /** How many axes there are, at least. */
  rank: number;
  /** Whether there are no more. */
  whole: boolean;
}

/** The attribute of a placeholder for a shape that was not checked: see {@link Axes.columns}. */
export const ANY_SHAPE = 'anyShape';

/** The axes after a node that keeps its input's columns; undefined for a node of another op. */
export function reshapedAxes(
  executor: Executor,
  node: GraphNode,
  width: number,
  axes: Axes,
): Axes | undefined {
  if (node.op === 'Identity') return axes;
  if (node.inputs[1]?.rawAttrs?.[ANY_SHAPE] !== undefined) return {columns: 'any', rank: 0, whole: false};
  if (node.op === 'Reshape') return reshaped(executor, node, width);
  if (node.op === 'Squeeze') return squeezed(node, axes);
  if (node.op === 'ExpandDims') return expanded(executor, node, axes);
  return undefined;
}

/**
 * Whether a constant that is added to a product holds one number for each of its columns.
 *
 * @param shape The constant's.
 */
export function isPerColumn(shape: number[], width: number, {columns}: Axes): boolean {
  const own = axesOf(shape);
  if (shape.length === 0 || tf.util.sizeFromShape(own) !== width) return false;
  if (width === 1 || columns === 'any') return true;
  if (columns === 'mixed') return false;
  // Along several axes of an unknown shape, it could differ from row to row.
  if (columns === 'unknown') return own.length === 1;
  return own.length <= columns.length && own.every((size, i) => size === columns.at(i - own.length));
}

/** Whether the shape after such a constant is added shows only at run time. */
export function isUncertain(shape: number[], width: number, {columns, rank}: Axes): boolean {
  return (columns === 'unknown' && width > 1) || (columns !== 'any' && shape.length > rank);
}

/**
 * A tensor in the shape that it has after a constant with one number for each of its columns is added.
 *
 * @param shape The constant's.
 * @throws UnsupportedSiteError if the columns are no axes of their own.
 */
export function inShapeOfSum(x: tf.Tensor, shape: number[], name: string): tf.Tensor {
  const own = axesOf(shape);
  if (!own.every((size, i) => size === x.shape.at(i - own.length))) {
    throw new UnsupportedSiteError(
      `Node '${name}' adds a constant [${shape}] to a product's output [${x.shape}], whose ` +
        "last axis does not hold the product's columns. Leave that product out of targets.",
    );
  }
  const more = Math.max(shape.length - x.rank, 0);
  return more > 0 ? tf.reshape(x, [...Array<number>(more).fill(1), ...x.shape]) : tf.clone(x);
}

/** A shape without its leading axes of size 1. */
export function axesOf(shape: number[]): number[] {
  const first = shape.findIndex((size) => size !== 1);
  return first < 0 ? shape.slice(-1) : shape.slice(first);
}

function reshaped(executor: Executor, node: GraphNode, width: number): Axes {
  const {sizes, whole} = lastSizes(executor, node, 1);
  return {columns: lastAxes(sizes, whole, width), rank: sizes.length, whole};
}

/**
 * The last axes of a shape that together have as many entries as a row has columns; several axes only if all
 * of them are known.
 */
function lastAxes(sizes: number[], whole: boolean, width: number): Axes['columns'] {
  const axes: number[] = [];
  let count = 1;
  for (const size of sizes.slice().reverse()) {
    if (size < 0) return axes.length > 0 ? 'mixed' : 'unknown';
    axes.unshift(size);
    count *= size;
    if (count === width) return axes;
    if (width % count !== 0) return 'mixed';
  }
  return whole || axes.length > 0 ? 'mixed' : 'unknown';
}

/** The last entries of the shape that a node gets, -1 for computed ones; and whether they are all of it. */
function lastSizes(executor: Executor, node: GraphNode, input: number): {sizes: number[]; whole: boolean} {
  const constant = constantAt(executor, node, input);
  if (constant !== undefined) return {sizes: Array.from(constant.read().dataSync()), whole: true};
  let source = node.inputs[input];
  while (source !== undefined && (isPassing(source) || source.op === 'Cast')) source = source.inputs[0];
  const parts = [...(source?.inputs.keys() ?? [])];
  if (source?.op === 'Pack') {
    const known = parts.map((part) => constantAt(executor, source!, part)?.read().dataSync()[0] ?? -1);
    return {sizes: known, whole: true};
  }
  if (source?.op !== 'ConcatV2') return {sizes: [], whole: false};
  const sizes: number[] = [];
  for (const part of parts.slice(0, -1).reverse()) {
    const {sizes: last, whole} = lastSizes(executor, source, part);
    sizes.unshift(...last);
    if (!whole) return {sizes, whole: false};
  }
  return {sizes, whole: true};
}

function squeezed(node: GraphNode, {columns, rank, whole}: Axes): Axes {
  const given = attribute<number[]>(node, 'axis') ?? [];
  // Only an axis of size 1 can be removed.
  const kept = typeof columns === 'string' || !columns.includes(1) ? columns : 'unknown';
  const certain = whole && given.length > 0;
  return {columns: kept, rank: certain ? rank - given.length : sizeOf(kept), whole: certain};
}

function expanded(executor: Executor, node: GraphNode, {columns, rank, whole}: Axes): Axes {
  const axis = constantAt(executor, node, 1)?.read().dataSync()[0];
  const behind = axis === undefined || (axis > 0 && !whole) ? undefined : axis < 0 ? -1 - axis : rank - axis;
  const grown = {rank: rank + 1, whole};
  if (typeof columns === 'string' || axis === 0) return {columns, ...grown};
  if (behind === undefined) return {columns: 'unknown', ...grown};
  if (behind >= columns.length) return {columns, ...grown};
  const at = columns.length - behind;
  return {columns: [...columns.slice(0, at), 1, ...columns.slice(at)], ...grown};
}

function sizeOf(columns: Axes['columns']): number {
  return typeof columns === 'string' ? 0 : columns.length;
}
