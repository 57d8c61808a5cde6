import * as tf from '@tensorflow/tfjs-core';
import {withArticle} from '../../core/messages.js';
import type {FrozenBase, Operation} from '../../core/sites/operation.js';
import type {MatrixPlace} from '../../core/tfjs/packed-variable.js';
import {type Constant, constantAt} from '../constants.js';
import {type Epilogue, followingEpilogue, fusedEpilogue} from '../epilogue.js';
import {attribute} from '../internals.js';
import {CachedMatrix} from './cached-matrix.js';
import type {MatchNode, NodeSite} from './node-site.js';

/**
 * A plain product over the last axis with a constant.
 *
 * @param toMatrix The kernel [inputDim, outputDim] of the constant.
 * @param place How the kernel lies in the constant, if it can be packed.
 */
export function plainProduct(
  weight: Constant,
  [inputDim, outputDim]: readonly [number, number],
  {bias, activation, absorbed, tail}: Epilogue,
  toMatrix: (weight: tf.Tensor) => tf.Tensor2D,
  place?: MatrixPlace,
): NodeSite {
  const matrix = new CachedMatrix(weight, toMatrix, place?.transposed);
  const operation: Operation = {
    dims: {inputDim, outputDim},
    get frozen(): FrozenBase {
      return {kernel: matrix.read(), ...(bias && {bias: tf.reshape(bias.read(), [outputDim])})};
    },
    ...(activation && {activation}),
  };
  return {
    kind: 'dense',
    operation,
    weight,
    ...(place && {place}),
    ...(bias && {bias}),
    absorbed,
    tail,
    dispose: () => matrix.dispose(),
  };
}

/** MatMul, _FusedMatMul and BatchMatMul(V2) whose right operand is a constant. */
export const matchProduct: MatchNode = (executor, node) => {
  const weight = constantAt(executor, node, 1);
  if (weight === undefined) {
    const left = constantAt(executor, node, 0) !== undefined;
    return {
      reason: left
        ? 'has its constant on the left'
        : 'multiplies two tensors, neither of which is a constant',
    };
  }
  if (weight.dtype !== 'float32')
    return {reason: `has ${withArticle(weight.dtype)} weight; adapters need float32`};
  const {shape} = weight;
  const matrix = shape.slice(-2) as [number, number];
  if (shape.length < 2 || tf.util.sizeFromShape(shape) !== matrix[0] * matrix[1]) {
    return {reason: `has a weight [${shape}] with a separate matrix for each sample`};
  }
  const transposed = attribute<boolean>(node, 'transposeB') === true;
  const [inputDim, outputDim] = transposed ? [matrix[1], matrix[0]] : matrix;
  const fused = node.op === '_FusedMatMul' ? fusedEpilogue(executor, node, outputDim) : undefined;
  if (typeof fused === 'string') return {reason: fused};
  // Only a batched product takes operands of more than two axes; its output has as many axes as the larger
  // operand.
  const axes = {columns: [outputDim], rank: shape.length, whole: node.op === 'MatMul'};
  const epilogue = fused ?? followingEpilogue(executor, node, outputDim, axes);
  const toMatrix = (value: tf.Tensor): tf.Tensor2D => {
    const flat = (value.rank === 2 ? value : tf.reshape(value, matrix)) as tf.Tensor2D;
    return transposed ? tf.transpose(flat) : flat;
  };
  const site = plainProduct(weight, [inputDim, outputDim], epilogue, toMatrix, {shape, transposed});
  if (transposed) site.restore = (kernel) => tf.reshape(tf.transpose(kernel), shape);
  if (attribute<boolean>(node, 'transposeA') === true) {
    site.input = ([x]) =>
      tf.transpose(
        x!,
        [...x!.shape.keys()].map((axis) => (axis < x!.rank - 2 ? axis : 2 * x!.rank - 3 - axis)),
      );
  }
  if (shape.length > 2) {
    site.finish = (y) =>
      y.rank < shape.length
        ? tf.reshape(y, [...Array<number>(shape.length - y.rank).fill(1), ...y.shape])
        : y;
  }
  return site;
};
