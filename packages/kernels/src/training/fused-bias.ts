import * as tf from '@tensorflow/tfjs-core';
import {overrideKernel, restoreKernel} from './overrides.js';
import {storedShape} from './shared-values.js';

interface Attrs {
  activation: string;
  leakyreluAlpha?: number;
}

type Infos = Record<string, tf.TensorInfo | undefined>;

const ACTIVATIONS: Record<string, string> = {
  relu: tf.Relu,
  relu6: tf.Relu6,
  elu: tf.Elu,
  sigmoid: tf.Sigmoid,
  leakyrelu: tf.LeakyRelu,
  prelu: tf.Prelu,
};

interface Call {
  inputs: Record<string, tf.TensorInfo>;
  attrs: unknown;
  backend: unknown;
}

/**
 * A fused kernel that takes no bias but a vector over the output's last axis, made to take every one that broadcasts: the kernel
 * itself without bias and activation, then those two on their own.
 *
 * @param takes whether the kernel takes this bias.
 */
export function anyBias(
  kernel: tf.KernelFunc,
  takes: (bias: tf.TensorInfo, call: Call) => boolean,
): tf.KernelFunc {
  return (call) => {
    const {bias, preluActivationWeights: alpha, ...rest} = call.inputs as Infos;
    const {activation, leakyreluAlpha = 0.2} = call.attrs as unknown as Attrs;
    const inputs = rest as Record<string, tf.TensorInfo>;
    const backend = call.backend as tf.KernelBackend;
    if (bias == null || takes(bias, {inputs, attrs: call.attrs, backend})) return kernel(call);
    const run = (name: string, input: Infos, attrs = {}): tf.TensorInfo =>
      tf
        .getKernel(name, 'wasm')
        .kernelFunc({inputs: input as tf.NamedTensorInfoMap, attrs, backend}) as tf.TensorInfo;
    const then = (made: tf.TensorInfo, next: (made: tf.TensorInfo) => tf.TensorInfo): tf.TensorInfo => {
      try {
        return next(made);
      } finally {
        backend.disposeData(made.dataId);
      }
    };
    const attrs = {...call.attrs, activation: 'linear'};
    const plain = kernel({inputs, attrs, backend}) as tf.TensorInfo;
    const sum = then(plain, (a) => run(tf.Add, {a, b: bias}));
    const name = ACTIVATIONS[activation];
    if (name === undefined) return sum;
    return then(sum, (x) => run(name, {x, ...(name === tf.Prelu ? {alpha} : {})}, {alpha: leakyreluAlpha}));
  };
}

/** Whether a tensor is a vector of that length. */
export const isVector = (shape: number[], length: number): boolean =>
  shape.length === 1 && shape[0] === length;

/** A convolution whose output channels are these axes of the filter: the stock ones ask for the shape that the bias was made with. */
function convolution(...axes: number[]): (stock: tf.KernelFunc) => tf.KernelFunc {
  return (stock) =>
    anyBias(stock, (bias, {inputs, backend}) => {
      const channels = axes.reduce((product, axis) => product * inputs.filter!.shape[axis]!, 1);
      return isVector(bias.shape, channels) && isVector(storedShape(backend, bias), channels);
    });
}

/** Makes the wasm backend's fused convolutions take a bias that is a scalar, or of a higher rank. */
export function registerFusedBias(): void {
  overrideKernel(tf.FusedConv2D, convolution(3));
  overrideKernel(tf.FusedDepthwiseConv2D, convolution(2, 3));
}

/** Puts back what {@link registerFusedBias} replaced. */
export function unregisterFusedBias(): void {
  restoreKernel(tf.FusedConv2D);
  restoreKernel(tf.FusedDepthwiseConv2D);
}
