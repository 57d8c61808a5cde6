import type {BackendWasm} from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import {type Call, type Kernel, wasmPatch} from '../kernel-patches.js';
import type {AnyPatch} from '../patches.js';
import {run, using} from '../repairs/infos.js';
import {storedShape} from './shared-values.js';

interface Attrs {
  activation: string;
  leakyreluAlpha?: number;
}

const ACTIVATIONS: Record<string, string> = {
  relu: tf.Relu,
  relu6: tf.Relu6,
  elu: tf.Elu,
  sigmoid: tf.Sigmoid,
  leakyrelu: tf.LeakyRelu,
  prelu: tf.Prelu,
};

type WasmKernel = Kernel<Attrs, BackendWasm>;

/**
 * A fused kernel that takes no bias but a vector over the output's last axis, made to take every one that
 * broadcasts: the kernel itself without bias and activation, then those two on their own.
 *
 * @param takes whether the kernel takes this bias.
 */
export function anyBias<A extends Attrs>(
  kernel: Kernel<A, BackendWasm>,
  takes: (bias: tf.TensorInfo, call: Call<A, BackendWasm>) => boolean,
): Kernel<A, BackendWasm> {
  return (call) => {
    const {bias, preluActivationWeights: alpha, ...inputs} = call.inputs;
    const {activation, leakyreluAlpha = 0.2} = call.attrs;
    const {backend} = call;
    if (bias == null || takes(bias, {...call, inputs})) return kernel(call);
    const plain = kernel({inputs, attrs: {...call.attrs, activation: 'linear'}, backend}) as tf.TensorInfo;
    const sum = using(backend, [plain], () => run(tf.Add, {a: plain, b: bias}, {}, backend));
    const name = ACTIVATIONS[activation];
    if (name === undefined) return sum;
    const operands = {x: sum, ...(name === tf.Prelu && alpha && {alpha})};
    return using(backend, [sum], () => run(name, operands, {alpha: leakyreluAlpha}, backend));
  };
}

/** Whether a tensor is a vector of that length. */
export const isVector = (shape: number[], length: number): boolean =>
  shape.length === 1 && shape[0] === length;

/**
 * A convolution whose output channels are these axes of the filter. The stock kernels look at the shape with
 * which the bias was made.
 */
const convolution =
  (...axes: number[]) =>
  (stock: WasmKernel): WasmKernel =>
    anyBias(stock, (bias, {inputs, backend}) => {
      const channels = axes.reduce((product, axis) => product * inputs.filter!.shape[axis]!, 1);
      return isVector(bias.shape, channels) && isVector(storedShape(backend, bias), channels);
    });

/** Makes the wasm backend's fused convolutions take a bias that is a scalar, or of a higher rank. */
export const FUSED_BIAS: AnyPatch[] = [
  wasmPatch(tf.FusedConv2D, 'training', convolution(3)),
  wasmPatch(tf.FusedDepthwiseConv2D, 'training', convolution(2, 3)),
];
