import {
  ADAM,
  BLEND,
  BLEND_GRAD,
  GATES,
  LAYER_NORM,
  LAYER_NORM_GRAD,
  type PeftKernel,
  SOFTMAX_GRAD,
  STREAM_GATES,
  STREAM_GATES_GRAD,
} from '../../kernel-registry.js';
import type {AdamAttrs} from '../../ops/adam.js';
import type {GatesAttrs, SoftmaxGradAttrs} from '../../ops/gates.js';
import type {StreamGatesAttrs} from '../../ops/stream-gates.js';
import {adamStep} from './adam.js';
import {arraysOf, cpu} from './arrays.js';
import {blend, blendGradient} from './blend.js';
import {softmaxGradient, softmaxRows, streamGates, streamGatesGradient} from './gates.js';
import {multiply} from './gemm.js';
import {normalizedRows, normalizedRowsGradient} from './normalize.js';

/** The kernels around the products: normalization, routers' gates, Adam. */
export const smallKernels: Record<string, PeftKernel> = {
  [LAYER_NORM]: ({inputs, attrs, backend}) => {
    const {shape} = inputs.x!;
    const values = normalizedRows(arraysOf(inputs, backend) as never, shape[1]!, attrs.epsilon as number);
    return cpu(backend).write(shape, values);
  },
  [LAYER_NORM_GRAD]: ({inputs, attrs, backend}) => {
    const {shape} = inputs.x!;
    const arrays = arraysOf(inputs, backend) as never;
    return cpu(backend).write(shape, normalizedRowsGradient(arrays, shape[1]!, attrs.epsilon as number));
  },
  [GATES]: ({inputs, attrs, backend}) => {
    const {x, kernel} = arraysOf(inputs, backend);
    const [m, k] = inputs.x!.shape as [number, number];
    const n = inputs.kernel!.shape[1]!;
    const gates = multiply(x!, kernel!, {m, n, k});
    softmaxRows(gates, n, 1 / (attrs as unknown as GatesAttrs).temperature);
    return cpu(backend).write([m, n], gates);
  },
  [SOFTMAX_GRAD]: ({inputs, attrs, backend}) => {
    const {dy, y} = arraysOf(inputs, backend);
    const {shape} = inputs.y!;
    const {scale} = attrs as unknown as SoftmaxGradAttrs;
    return cpu(backend).write(shape, softmaxGradient(dy!, y!, shape[1]!, scale));
  },
  [STREAM_GATES]: ({inputs, attrs, backend}) => {
    const {a, b} = arraysOf(inputs, backend);
    const {shape} = inputs.a!;
    const outputs = streamGates(a!, b!, shape[1]!, attrs as unknown as StreamGatesAttrs);
    return outputs.map((values) => cpu(backend).write(shape, values));
  },
  [STREAM_GATES_GRAD]: ({inputs, attrs, backend}) => {
    const {shape} = inputs.a!;
    const arrays = arraysOf(inputs, backend) as never;
    const outputs = streamGatesGradient(arrays, shape[1]!, attrs as unknown as StreamGatesAttrs);
    return outputs.map((values) => cpu(backend).write(shape, values));
  },
  [BLEND]: blend,
  [BLEND_GRAD]: blendGradient,
  [ADAM]: ({inputs, attrs, backend}) => {
    const outputs = adamStep(arraysOf(inputs, backend) as never, attrs as unknown as AdamAttrs);
    return outputs.map((values) => cpu(backend).write(inputs.value!.shape, values));
  },
};
