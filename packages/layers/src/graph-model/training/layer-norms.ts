import * as tf from '@tensorflow/tfjs-core';
import {ACTIVATION_RANKS, layerNorm} from '@tfjs-peft/kernels';
import {type Constant, constantAt, isAdding, isPassing} from '../constants.js';
import {attribute, type Executor, type GraphNode} from '../internals.js';
import {type Endpoint, endpointName, inputOf} from './endpoint.js';
import {add, multiply, negate, type Polynomial, product} from './polynomial.js';

/** A layer norm that a graph computes in several nodes. */
export interface LayerNormNodes {
  x: Endpoint;
  /** The last of its nodes, whose output is the norm. */
  end: GraphNode;
  /** The others, which no other node reads. */
  inner: ReadonlySet<GraphNode>;
  axis: number;
  epsilon: Constant;
  gamma: Constant;
  beta: Constant;
}

/**
 * What is known of a norm before gamma and beta: where x, its mean and the reciprocal of its deviation are.
 */
interface Moments {
  x: Endpoint;
  mean: GraphNode;
  /** A Rsqrt, or a Sqrt by which something is divided. */
  root: GraphNode;
  axis: number;
  epsilon: Constant;
}

/** Symbols of {@link Polynomial}s. */
const [X, MEAN, SCALE] = ['x', 'mean', 'scale'];

/**
 * How many nodes may lie between the root and the end of a norm: products by gamma and by x, a difference, a
 * sum, and some that pass on their input.
 */
const REACH = 6;

/**
 * The layer norms among some nodes. They are known by what they compute, gamma ∘ (x - mean) /
 * sqrt(variance + epsilon) + beta, however that is put into products and sums: TensorFlow 1, Keras and
 * Keras 3 each have a form of their own.
 *
 * @param nodes Those that run; a norm whose nodes are not all among them is none.
 * @param visible Nodes whose outputs are asked for.
 */
export function findLayerNorms(
  executor: Executor,
  nodes: ReadonlySet<GraphNode>,
  visible: ReadonlySet<GraphNode>,
): LayerNormNodes[] {
  return [...nodes].flatMap((root) => {
    const moments = matchMoments(executor, root);
    return (moments && matchEnd(executor, moments, nodes, visible)) ?? [];
  });
}

/** Computes a norm of x: in one kernel over the last axis, by ops of tfjs over any other. */
export class FusedNorm {
  private epsilon: {from: tf.Tensor; value: number} | undefined;

  constructor(readonly nodes: LayerNormNodes) {}

  /** To be awaited before the first run: a GPU's values cannot be read at once. */
  async prepare(): Promise<void> {
    const from = this.nodes.epsilon.read();
    if (this.epsilon?.from === from) return;
    this.epsilon = {from, value: ((await from.data()) as Float32Array)[0]!};
  }

  run(x: tf.Tensor): tf.Tensor {
    const {axis} = this.nodes;
    const {value: epsilon} = this.epsilon!;
    const [gamma, beta] = [this.nodes.gamma.read(), this.nodes.beta.read()];
    if (isOverLast(x, axis, [gamma, beta])) {
      return layerNorm(x, gamma as tf.Tensor1D, beta as tf.Tensor1D, epsilon);
    }
    const {mean, variance} = tf.moments(x, axis, true);
    const scale = tf.mul(tf.rsqrt(tf.add(variance, epsilon)), gamma);
    return tf.add(tf.mul(tf.sub(x, mean), scale), beta);
  }
}

function isOverLast({shape, rank, dtype}: tf.Tensor, axis: number, vectors: tf.Tensor[]): boolean {
  if (dtype !== 'float32') return false;
  if (!ACTIVATION_RANKS.includes(rank) || (axis !== -1 && axis !== rank - 1)) return false;
  return vectors.every((vector) => vector.rank === 1 && vector.size === shape[rank - 1]);
}

/** The node that feeds an input, behind nodes that only pass on their input. */
function sourceOf(node: GraphNode, input: number): Endpoint {
  let source = inputOf(node, input);
  while (isPassing(source.node)) source = inputOf(source.node, 0);
  return source;
}

function isSame(a: Endpoint, b: Endpoint): boolean {
  return a.node === b.node && a.index === b.index;
}

/** The axis over which a node takes the mean, if it is one, and keeps it. */
function meanAxis(executor: Executor, node: GraphNode): number | undefined {
  if (node.op !== 'Mean' || attribute(node, 'keepDims') !== true) return undefined;
  const axis = constantAt(executor, node, 1);
  if (axis === undefined || tf.util.sizeFromShape(axis.shape) !== 1) return undefined;
  // As tfjs-converter reads axes, in each run.
  return axis.read().dataSync()[0];
}

/** The two inputs whose squared difference a node computes. */
function differenceOf(node: GraphNode): [Endpoint, Endpoint] | undefined {
  if (node.op === 'SquaredDifference') return [sourceOf(node, 0), sourceOf(node, 1)];
  const square = node.op === 'Square' || (node.op === 'Mul' && isSame(sourceOf(node, 0), sourceOf(node, 1)));
  if (!square) return undefined;
  const {node: difference} = sourceOf(node, 0);
  return difference.op === 'Sub' ? [sourceOf(difference, 0), sourceOf(difference, 1)] : undefined;
}

/** The moments from which a Rsqrt or Sqrt is computed. */
function matchMoments(executor: Executor, root: GraphNode): Moments | undefined {
  if (root.op !== 'Rsqrt' && root.op !== 'Sqrt') return undefined;
  const {node: shifted} = sourceOf(root, 0);
  if (!isAdding(shifted)) return undefined;
  const at = constantAt(executor, shifted, 0) === undefined ? 1 : 0;
  const epsilon = constantAt(executor, shifted, at);
  if (epsilon?.dtype !== 'float32' || tf.util.sizeFromShape(epsilon.shape) !== 1) return undefined;
  if (epsilon.read() instanceof tf.Variable) return undefined;
  const {node: variance} = sourceOf(shifted, 1 - at);
  const axis = meanAxis(executor, variance);
  const pair = axis === undefined ? undefined : differenceOf(sourceOf(variance, 0).node);
  for (const [x, {node: mean}] of pair ? [pair, [pair[1], pair[0]] as const] : []) {
    if (meanAxis(executor, mean) !== axis || !isSame(sourceOf(mean, 0), x)) continue;
    return {x, mean, root, axis: axis!, epsilon};
  }
  return undefined;
}

/** The node behind the moments whose output is the norm, if no other node reads what lies between. */
function matchEnd(
  executor: Executor,
  moments: Moments,
  nodes: ReadonlySet<GraphNode>,
  visible: ReadonlySet<GraphNode>,
): LayerNormNodes | undefined {
  let front = new Set(moments.root.children);
  for (let step = 0; step < REACH; step++) {
    for (const end of front) {
      const vectors = nodes.has(end) ? vectorsOf(executor, moments, end) : undefined;
      if (vectors === undefined) continue;
      const inner = between(executor, moments.x, end);
      const own = [...inner].every(
        (node) =>
          nodes.has(node) &&
          !visible.has(node) &&
          node.children.every((child) => child === end || inner.has(child)),
      );
      const {x, axis, epsilon} = moments;
      return own ? {x, end, inner, axis, epsilon, ...vectors} : undefined;
    }
    front = new Set([...front].flatMap(({children}) => children));
  }
  return undefined;
}

/** The nodes that compute a norm from x. */
function between(executor: Executor, x: Endpoint, end: GraphNode): Set<GraphNode> {
  const found = new Set<GraphNode>([end]);
  for (const node of found) {
    node.inputs.forEach((input, i) => {
      const isConstant = constantAt(executor, node, i) !== undefined;
      if (!isConstant && !isSame(inputOf(node, i), x)) found.add(input);
    });
  }
  found.delete(end);
  return found;
}

/** Gamma and beta, if a node's output is the norm. */
function vectorsOf(
  executor: Executor,
  {x, mean, root}: Moments,
  end: GraphNode,
): Pick<LayerNormNodes, 'gamma' | 'beta'> | undefined {
  const constants = new Map<string, Constant>();
  const symbols = new Map([
    [endpointName(x), X],
    [mean.name, MEAN],
    ...(root.op === 'Rsqrt' ? [[root.name, SCALE] as const] : []),
  ]);
  const operand = (node: GraphNode, input: number): Polynomial | undefined => {
    const constant = constantAt(executor, node, input);
    if (constant === undefined) return expand(sourceOf(node, input));
    if (constant.dtype !== 'float32') return undefined;
    constants.set(constant.name, constant);
    return new Map([[product(`constant ${constant.name}`), 1]]);
  };
  const expand = (endpoint: Endpoint): Polynomial | undefined => {
    const symbol = symbols.get(endpointName(endpoint));
    if (symbol !== undefined) return new Map([[product(symbol), 1]]);
    const {node} = endpoint;
    if (node.op === 'RealDiv' && root.op === 'Sqrt' && sourceOf(node, 1).node === root) {
      return multiply(operand(node, 0), new Map([[product(SCALE), 1]]));
    }
    if (isAdding(node)) return add(operand(node, 0), operand(node, 1));
    if (node.op === 'Sub') return add(operand(node, 0), negate(operand(node, 1)));
    if (node.op === 'Mul') return multiply(operand(node, 0), operand(node, 1));
    if (node.op === 'Neg') return negate(operand(node, 0));
    return undefined;
  };
  const sum = expand({node: end, index: 0});
  if (sum?.size !== 3) return undefined;
  const all = [...constants.values()];
  const gamma = all.find(
    ({name}) =>
      sum.get(product(X, SCALE, `constant ${name}`)) === 1 &&
      sum.get(product(MEAN, SCALE, `constant ${name}`)) === -1,
  );
  const beta = all.find(({name}) => sum.get(product(`constant ${name}`)) === 1);
  return gamma && beta && {gamma, beta};
}
