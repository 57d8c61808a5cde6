import * as tf from '@tensorflow/tfjs-core';
import type {RunNode} from '../interception.js';
import {attribute, type GraphNode} from '../internals.js';

/** The shape that a node which only reshapes gives its first input; undefined for other nodes. */
const SHAPES: Record<string, (node: GraphNode, inputs: tf.Tensor[]) => number[]> = {
  Reshape: (_, [x, shape]) => tf.util.inferFromImplicitShape(Array.from(shape!.dataSync()), x!.size),
  ExpandDims: (_, [x, axis]) => {
    const at = axis!.dataSync()[0]!;
    const shape = x!.shape.slice();
    shape.splice(at < 0 ? x!.rank + 1 + at : at, 0, 1);
    return shape;
  },
  Squeeze: (node, [x]) => {
    const axes = attribute<number[]>(node, 'axis');
    return tf.util.squeezeShape(x!.shape, axes?.length ? axes : undefined).newShape;
  },
};

/** Whether a node only reshapes. */
export function isReshaping({op}: GraphNode): boolean {
  return Object.hasOwn(SHAPES, op);
}

/**
 * What a node that only reshapes does, without keeping its input for the gradient: tfjs's own Reshape keeps the whole tensor to know its
 * shape, and a converted model reshapes around every product.
 */
export function reshaping(node: GraphNode): RunNode | undefined {
  if (!isReshaping(node)) return undefined;
  const shapeOf = SHAPES[node.op]!;
  return (inputs) => {
    const x = inputs[0]!;
    const {shape: from} = x;
    const to = shapeOf(node, inputs);
    const reshape = tf.customGrad((input) => ({
      value: tf.reshape(input as tf.Tensor, to),
      gradFunc: (dy: tf.Tensor) => tf.reshape(dy, from),
    }));
    return reshape(x);
  };
}
