import * as tf from '@tensorflow/tfjs-core';
import type {Activation} from '@tfjs-peft/kernels';
import type {SiteActivation} from '../sites/operation.js';
import {type Constant, constantAt, soleConsumer} from './constants.js';
import {attribute, type Executor, type GraphNode} from './internals.js';

/** What follows a product: a bias and an activation, in the node itself or in nodes behind it. */
export interface Epilogue {
  bias?: Constant;
  activation?: SiteActivation;
  /** Nodes behind, whose work the site does. */
  absorbed: Absorbed[];
  /** The last axes of the last of these nodes' output, which the columns are; undefined if that is not known. */
  tail: number[] | undefined;
}

/** A node that is to hand on one of its inputs as it is. */
export interface Absorbed {
  node: GraphNode;
  input: number;
}

/** Fused activations by the executor's name; the fused ops of `@tfjs-peft/kernels` call them alike. */
const FUSED: readonly Activation[] = ['relu', 'relu6', 'elu', 'sigmoid', 'tanh'];

const APPLY: Partial<Record<Activation, (x: tf.Tensor) => tf.Tensor>> = {
  relu: (x) => tf.relu(x),
  relu6: (x) => tf.relu6(x),
  elu: (x) => tf.elu(x),
  sigmoid: (x) => tf.sigmoid(x),
  tanh: (x) => tf.tanh(x),
};

/** Ops that keep the columns of what passes through; the shape comes by another input. */
const RESHAPING = new Set(['Reshape', 'Squeeze', 'ExpandDims', 'Identity']);

const ADDING = new Set(['BiasAdd', 'AddV2', 'Add']);

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
  if (more.length > 0) return `fuses ${ops.join(', ')}, of which only a bias and an activation are known`;
  const bias = hasBias ? constantAt(executor, node, 2) : undefined;
  if (hasBias && (bias === undefined || bias.dtype !== 'float32')) return 'has a bias that is no constant';
  let activation: SiteActivation | undefined;
  if (name === 'prelu') {
    const slopes = constantAt(executor, node, hasBias ? 3 : 2);
    if (slopes === undefined) return 'has slopes of prelu that are no constant';
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
 * The bias and activation in nodes behind a product, as far as nobody else looks at what lies between. A bias is found behind a
 * Reshape too, where the converter leaves it for a product of rank 3.
 *
 * @param width Columns of the product.
 * @param tail The axes of the output that these columns are.
 */
export function followingEpilogue(
  executor: Executor,
  node: GraphNode,
  width: number,
  tail: number[],
): Epilogue {
  const absorbed: Absorbed[] = [];
  let bias: Constant | undefined;
  let at = node;
  let next = soleConsumer(executor, at);
  let known: number[] | undefined = tail;
  const passReshapes = () => {
    while (next !== undefined && RESHAPING.has(next.op) && next.inputs[0] === at) {
      if (next.op !== 'Identity') known = undefined;
      at = next;
      next = soleConsumer(executor, at);
    }
  };
  passReshapes();
  if (next !== undefined && ADDING.has(next.op)) {
    const input = next.inputs[0] === at ? 0 : 1;
    const constant = constantAt(executor, next, 1 - input);
    if (constant?.dtype === 'float32' && isBias(constant.shape, width, at === node ? tail : undefined)) {
      bias = constant;
      known = axesOf(constant.shape);
      absorbed.push({node: next, input});
      at = next;
      next = soleConsumer(executor, at);
      passReshapes();
    }
  }
  const activation = next && fusedActivation(next.op.toLowerCase());
  if (activation !== undefined) absorbed.push({node: next!, input: 0});
  return {...(bias && {bias}), ...(activation && {activation}), absorbed, tail: known};
}

/** A shape without the axes of size 1 that it begins with. */
function axesOf(shape: number[]): number[] {
  const first = shape.findIndex((size) => size !== 1);
  return first < 0 ? shape.slice(-1) : shape.slice(first);
}

/** Whether a constant that is added is a number for each column. */
function isBias(shape: number[], width: number, tail: number[] | undefined): boolean {
  const axes = axesOf(shape);
  if (tf.util.sizeFromShape(axes) !== width || shape.length === 0) return false;
  return tail === undefined
    ? true
    : axes.length <= tail.length && axes.every((size, i) => size === tail.at(i - axes.length));
}

function fusedActivation(name: string): SiteActivation | undefined {
  const fused = FUSED.find((known) => known === name);
  return fused && {fused, apply: APPLY[fused]!};
}
