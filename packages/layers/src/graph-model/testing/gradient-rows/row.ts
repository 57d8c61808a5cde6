import * as tf from '@tensorflow/tfjs-core';
import {uniformNumbers} from '@tfjs-peft/routers';
import {hash32} from '../../../core/random.js';
import {type Attribute, GraphBuilder} from '../builder.js';

/** An input of a node: a float that one differentiates with respect to, or a constant. */
export interface RowInput {
  kind: 'trained' | 'float' | 'integer' | 'truth';
  shape: number[];
  values: number[];
}

/** As {@link RowInput}; floats that are not given are between the ends of the range, -1 and 1 by default. */
interface GivenInput extends Omit<RowInput, 'values'> {
  values?: number[];
  range?: [number, number] | undefined;
}

/** An op and its attributes, as a graph of that one node. */
export interface GradientRow {
  op: string;
  /** What of the attributes, shapes or operands is special. */
  attributes: string;
  inputs: RowInput[];
  attrs: Record<string, Attribute>;
  /** Which of the node's outputs; the first by default. */
  output: number;
  /** The output is constant, but for jumps: what comes before it cannot be trained through it. */
  constant: boolean;
  /** Stock's gradient does not come to an end. */
  endless?: boolean;
  /** The kernel that reads and writes beyond its tensors in stock's wasm backend. */
  breaksHeap?: string;
}

/**
 * Distinct numbers, evenly spread and in random order, so that no two are within a finite difference of each
 * other or of 0. Inputs differ by their seed.
 */
function spread(shape: number[], seed: number, [low, high]: [number, number] = [-1, 1]): number[] {
  const size = tf.util.sizeFromShape(shape);
  const random = uniformNumbers(seed);
  const offset = 0.35 + 0.3 * random();
  const values = Array.from({length: size}, (_, i) => low + ((high - low) * (i + offset)) / size);
  for (let i = size - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [values[i], values[j]] = [values[j]!, values[i]!];
  }
  return values.map(Math.fround);
}

/** A float input that one differentiates with respect to. */
export function x(shape: number[], range?: [number, number]): GivenInput {
  return {kind: 'trained', shape, range};
}

/** A float constant. */
export function constant(shape: number[], range?: [number, number]): GivenInput {
  return {kind: 'float', shape, range};
}

/** A constant of whole numbers; a vector or a scalar, if no shape is given. */
export function int(
  values: number[] | number,
  shape = Array.isArray(values) ? [values.length] : [],
): GivenInput {
  return {kind: 'integer', shape, values: [values].flat()};
}

/** A constant of truth values. */
export function truth(values: number[], shape = [values.length]): GivenInput {
  return {kind: 'truth', shape, values};
}

export function row(
  op: string,
  attributes: string,
  inputs: GivenInput[],
  attrs: Record<string, Attribute> = {},
  {output = 0, constant = false} = {},
): GradientRow {
  const filled = inputs.map(
    ({kind, shape, values, range}, i): RowInput => ({
      kind,
      shape,
      values: values ?? spread(shape, hash32(`${op}/${attributes}/${i}`), range),
    }),
  );
  return {op, attributes, inputs: filled, attrs, output, constant};
}

/** An op whose output does not change, but for jumps. */
export function step(
  op: string,
  attributes: string,
  inputs: GivenInput[],
  attrs: Record<string, Attribute> = {},
): GradientRow {
  return row(op, attributes, inputs, attrs, {constant: true});
}

export const NODE = 'node';

/** The graph of a row: its inputs are constants `input0` and so on, its node is `node`. */
export function graphOf({op, inputs, attrs}: GradientRow): GraphBuilder {
  const graph = new GraphBuilder();
  // A model without inputs has nothing to be prepared from.
  graph.input('unused', [-1]);
  const names = inputs.map(({kind, shape, values}, i) => {
    const name = `input${i}`;
    if (kind === 'integer') return graph.integers(name, shape.length === 0 ? values[0]! : values, shape);
    if (kind === 'truth') return graph.truths(name, values.map(Boolean), shape);
    graph.weight(name, shape, {values});
    // Like the output of a site: computed, not a variable.
    return kind === 'trained' ? graph.node('Identity', `${name}/computed`, [name]) : name;
  });
  return graph.output(graph.node(op, NODE, names, attrs));
}
