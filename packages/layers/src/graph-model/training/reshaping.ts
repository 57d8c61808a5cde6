import * as tf from '@tensorflow/tfjs-core';
import {attribute, type GraphNode} from '../internals.js';
import {type Endpoint, inputOf} from './endpoint.js';

/**
 * The output shape of a node that only reshapes, by the shape of its input and by its second input, if it has
 * one; undefined for other nodes.
 */
const SHAPES: Record<string, (shape: number[], node: GraphNode, param: tf.Tensor) => number[]> = {
  Reshape: (shape, _, wanted) =>
    tf.util.inferFromImplicitShape(Array.from(wanted.dataSync()), tf.util.sizeFromShape(shape)),
  ExpandDims: (shape, _, axis) => {
    const at = axis.dataSync()[0]!;
    const wider = shape.slice();
    wider.splice(at < 0 ? shape.length + 1 + at : at, 0, 1);
    return wider;
  },
  Squeeze: (shape, node) => {
    const axes = attribute<number[]>(node, 'axis');
    return tf.util.squeezeShape(shape, axes?.length ? axes : undefined).newShape;
  },
};

/** Whether a node only reshapes. */
export function isReshaping({op}: GraphNode): boolean {
  return Object.hasOwn(SHAPES, op);
}

/** Nodes that only reshape, one behind the other, as one. */
export class Reshapes {
  /** What they take besides what is reshaped. */
  readonly params: Endpoint[];

  /** @param nodes In the order in which they run. */
  constructor(private readonly nodes: readonly GraphNode[]) {
    this.params = nodes.flatMap((node) => node.inputs.slice(1).map((_, i) => inputOf(node, i + 1)));
  }

  shape(from: number[], params: readonly tf.Tensor[]): number[] {
    let next = 0;
    return this.nodes.reduce((shape, node) => {
      const param = params[next]!;
      next += node.inputs.length - 1;
      return SHAPES[node.op]!(shape, node, param);
    }, from);
  }
}

/**
 * A tensor in another shape, without keeping it for the gradient: tfjs's own Reshape keeps the whole tensor
 * to know its shape, and a converted model reshapes around every product.
 */
export function reshape(x: tf.Tensor, to: number[]): tf.Tensor {
  const {shape: from} = x;
  const run = tf.customGrad((input) => ({
    value: tf.reshape(input as tf.Tensor, to),
    gradFunc: (dy: tf.Tensor) => tf.reshape(dy, from),
  }));
  return run(x);
}
