import * as tf from '@tensorflow/tfjs-core';
import {type Decorator, kernelPatch} from '../kernel-patches.js';
import type {AnyPatch} from '../patches.js';
import {cumulativeRepairs} from '../repairs/cumulative.js';

/**
 * BatchMatMul gives wrong values where both operands are broadcast, as in [4, 1, m, k] x [1, 3, k, n]: here
 * they are spread out first.
 */
const spreadOut: Decorator = (stock) => (call) => {
  const {a, b} = call.inputs as {a: tf.Tensor; b: tf.Tensor};
  const [outerA, outerB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const outer = tf.backend_util.assertAndGetBroadcastShape(outerA, outerB);
  const [sizeA, sizeB, size] = [outerA, outerB, outer].map((shape) => tf.util.sizeFromShape(shape));
  // One matrix for the whole batch is right in stock.
  const right = (operand: number): boolean => operand === size || operand === 1;
  if (right(sizeA!) && right(sizeB!)) return stock(call);
  return tf.tidy(() => {
    const spread = (t: tf.Tensor): tf.Tensor => tf.broadcastTo(t, [...outer, ...t.shape.slice(-2)]);
    const result = stock({...call, inputs: {a: spread(a), b: spread(b)}}) as tf.TensorInfo;
    return tf.engine().makeTensorFromTensorInfo(result);
  });
};

/** TensorScatterUpdate writes into the tensor that it is given: here into a copy. */
const intoCopy: Decorator = (stock) => (call) =>
  tf.tidy(() => {
    const {tensor} = call.inputs as {tensor: tf.Tensor};
    const copy = tf.tensor(tensor.dataSync().slice(), tensor.shape, tensor.dtype);
    const result = stock({...call, inputs: {...call.inputs, tensor: copy}}) as tf.TensorInfo;
    return tf.engine().makeTensorFromTensorInfo(result);
  });

/** Kernels with wrong values, which would make gradients wrong too. */
export const VALUES_FOR_GRADIENTS: AnyPatch[] = [
  kernelPatch('BatchMatMul', 'cpu', 'gradients', spreadOut),
  kernelPatch('TensorScatterUpdate', 'cpu', 'gradients', intoCopy),
  ...['cpu', 'webgl', 'webgpu'].flatMap(cumulativeRepairs),
];
