import * as tf from '@tensorflow/tfjs-core';
import {replaceKernel} from '../kernel-registry.js';
import {shared} from '../shared.js';

const repaired = shared('kernels.repaired', () => new WeakSet<tf.KernelFunc>());

/**
 * The cpu backend's BatchMatMul gives wrong values where both operands are broadcast, as in [4, 1, m, k] x [1, 3, k, n]: here they are
 * spread out first. Where the cpu backend is imported after this package, call `register` again.
 */
function repairBatchMatMul(): void {
  const stock = tf.getKernel('BatchMatMul', 'cpu');
  if (stock == null || repaired.has(stock.kernelFunc)) return;
  const kernelFunc: tf.KernelFunc = (call) => {
    const {a, b} = call.inputs as {a: tf.Tensor; b: tf.Tensor};
    const [outerA, outerB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
    const outer = tf.backend_util.assertAndGetBroadcastShape(outerA, outerB);
    const [sizeA, sizeB, size] = [outerA, outerB, outer].map((shape) => tf.util.sizeFromShape(shape));
    // One matrix for the whole batch is right in stock.
    const right = (operand: number): boolean => operand === size || operand === 1;
    if (right(sizeA!) && right(sizeB!)) return stock.kernelFunc(call);
    return tf.tidy(() => {
      const spread = (t: tf.Tensor): tf.Tensor => tf.broadcastTo(t, [...outer, ...t.shape.slice(-2)]);
      const result = stock.kernelFunc({...call, inputs: {a: spread(a), b: spread(b)}}) as tf.TensorInfo;
      return tf.engine().makeTensorFromTensorInfo(result);
    });
  };
  repaired.add(kernelFunc);
  replaceKernel({...stock, kernelFunc});
}

/** The cpu backend's TensorScatterUpdate writes into the tensor that it is given: here into a copy. */
function repairTensorScatterUpdate(): void {
  const stock = tf.getKernel('TensorScatterUpdate', 'cpu');
  if (stock == null || repaired.has(stock.kernelFunc)) return;
  const kernelFunc: tf.KernelFunc = (call) =>
    tf.tidy(() => {
      const {tensor} = call.inputs as {tensor: tf.Tensor};
      const copy = tf.tensor(tensor.dataSync().slice(), tensor.shape, tensor.dtype);
      const result = stock.kernelFunc({...call, inputs: {...call.inputs, tensor: copy}}) as tf.TensorInfo;
      return tf.engine().makeTensorFromTensorInfo(result);
    });
  repaired.add(kernelFunc);
  replaceKernel({...stock, kernelFunc});
}

/** Kernels of the cpu backend with wrong values. Where that backend is imported after this package, call `register` again. */
export function repairCpuValues(): void {
  repairBatchMatMul();
  repairTensorScatterUpdate();
}
