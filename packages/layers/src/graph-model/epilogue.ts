import * as tf from '@tensorflow/tfjs-core';
import type {Activation} from '@tfjs-peft/kernels';
import type {SiteActivation} from '../core/sites/operation.js';
import {type Axes, axesOf, inShapeOfSum, isPerColumn, isUncertain, reshapedAxes} from './columns.js';
import {type Constant, constantAt, isAdding, soleConsumer} from './constants.js';
import {attribute, type Executor, type GraphNode} from './internals.js';

/** What follows a product: a bias and an activation, in the node itself or in nodes behind it. */
export interface Epilogue {
  bias?: Constant;
  activation?: SiteActivation;
  /** Nodes behind, whose work the site does. */
  absorbed: Absorbed[];
  /** The last axes of the output of the last of these nodes, which hold the columns; undefined if unknown. */
  tail: number[] | undefined;
}

/** A node that passes on one of its inputs unchanged. */
export interface Absorbed {
  node: GraphNode;
  input: number;
  /** The shape of the constant that it adds, if the resulting shape shows only at run time. */
  sum?: number[];
}

/** The output of such a node. */
export function handOn({node, input, sum}: Absorbed, inputs: readonly tf.Tensor[]): tf.Tensor {
  const x = inputs[input]!;
  return sum === undefined ? tf.clone(x) : inShapeOfSum(x, sum, node.name);
}

/** Fused activations by the executor's names, which the fused ops of `@tfjs-peft/kernels` share. */
const FUSED: readonly Activation[] = ['relu', 'relu6', 'elu', 'sigmoid', 'tanh'];

const APPLY: Partial<Record<Activation, (x: tf.Tensor) => tf.Tensor>> = {
  relu: (x) => tf.relu(x),
  relu6: (x) => tf.relu6(x),
  elu: (x) => tf.elu(x),
  sigmoid: (x) => tf.sigmoid(x),
  tanh: (x) => tf.tanh(x),
};

/**
 * The bias and activation that a fused node has in itself.
 *
 * @param width Columns of the product.
 * @returns A text if the node has something that a site cannot do: what it is.
 */
export function fusedEpilogue(executor: Executor, node: GraphNode, width: number): Epilogue | string {
  const ops = attribute<string[]>(node, 'fusedOps') ?? [];
  const names = ops.filter((name) => name !== 'noop');
  const hasBias = names[0] === 'biasadd';
  const [name, ...more] = hasBias ? names.slice(1) : names;
  if (more.length > 0) return `fuses ${ops.join(', ')}; adapters support only a bias and an activation`;
  const bias = hasBias ? constantAt(executor, node, 2) : undefined;
  if (hasBias && (bias === undefined || bias.dtype !== 'float32'))
    return 'has a bias that is not a float32 constant';
  if (bias !== undefined && !isPerColumn(bias.shape, width, {columns: [width], rank: 1, whole: false})) {
    return `has a bias [${bias.shape}] that does not hold one number for each of its ${width} columns`;
  }
  let activation: SiteActivation | undefined;
  if (name === 'prelu') {
    const slopes = constantAt(executor, node, hasBias ? 3 : 2);
    if (slopes === undefined) return 'has prelu slopes that are not a constant';
    activation = {apply: (x) => tf.prelu(x, slopes.read())};
  } else if (name === 'leakyrelu') {
    const slope = attribute<number>(node, 'leakyreluAlpha') ?? 0.2;
    activation = {apply: (x) => tf.leakyRelu(x, slope)};
  } else if (name !== undefined) {
    activation = fusedActivation(name);
    if (activation === undefined) return `fuses the activation ${name}, which tfjs cannot run`;
  }
  return {...(bias && {bias}), ...(activation && {activation}), absorbed: [], tail: [width]};
}

/**
 * The bias and activation in nodes behind a product, as far as no other node reads what lies between. A bias
 * is found behind a Reshape too, where the converter leaves it for a product of rank 3.
 *
 * @param width Columns of the product.
 * @param axes The axes of the output.
 */
export function followingEpilogue(executor: Executor, node: GraphNode, width: number, axes: Axes): Epilogue {
  const absorbed: Absorbed[] = [];
  let bias: Constant | undefined;
  let at = node;
  let next = soleConsumer(executor, at);
  let known = axes;
  const passReshapes = () => {
    while (next !== undefined && next.inputs[0] === at) {
      const reshaped = reshapedAxes(executor, next, width, known);
      if (reshaped === undefined) return;
      known = reshaped;
      at = next;
      next = soleConsumer(executor, at);
    }
  };
  passReshapes();
  if (next !== undefined && (next.op === 'BiasAdd' || isAdding(next))) {
    const input = next.inputs.indexOf(at);
    const constant = input < 2 ? constantAt(executor, next, 1 - input) : undefined;
    if (constant?.dtype === 'float32' && isPerColumn(constant.shape, width, known)) {
      const {shape} = constant;
      bias = constant;
      absorbed.push({node: next, input, ...(isUncertain(shape, width, known) && {sum: shape})});
      const rank = Math.max(known.rank, shape.length);
      known = {columns: axesOf(shape), rank, whole: known.whole};
      at = next;
      next = soleConsumer(executor, at);
      passReshapes();
    }
  }
  const activation =
    next !== undefined && next.inputs[0] === at ? fusedActivation(next.op.toLowerCase()) : undefined;
  if (activation !== undefined) absorbed.push({node: next!, input: 0});
  const {columns} = known;
  const tail = width === 1 ? [1] : typeof columns === 'string' ? undefined : columns;
  return {...(bias && {bias}), ...(activation && {activation}), absorbed, tail};
}

function fusedActivation(name: string): SiteActivation | undefined {
  const fused = FUSED.find((known) => known === name);
  return fused && {fused, apply: APPLY[fused]!};
}
