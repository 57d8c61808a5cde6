import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {AdamAttrs, PackedAttrs, PackedMatMulAttrs} from '../kernel-attrs.js';
import type {PeftKernel} from '../kernel-map.js';
import type {Product} from './product-sizes.js';

/*
 * Kernels that both GPU backends make in the same way of programs of their own: a program has one output, so
 * that a kernel with several outputs, or with a value in between, is several.
 */

type MatMul = (backend: KernelBackend, a: TensorInfo, b: TensorInfo, product: Product) => TensorInfo;

const plain = {transposeA: false, transposeB: false};

/** h = x A, and the leading columns of x W. */
export const projectBy =
  (matMul: MatMul): PeftKernel<'PeftProject'> =>
  ({inputs: {x, a, kernel}, attrs: {columns}, backend}) => {
    const h = matMul(backend, x, a, plain);
    return kernel === undefined ? [h] : [h, matMul(backend, x, kernel, {...plain, columns})];
  };

/** A router's gates: its logits, and their softmax. */
export const gatesBy =
  (
    matMul: MatMul,
    softmax: (backend: KernelBackend, x: TensorInfo, scale: number) => TensorInfo,
  ): PeftKernel<'PeftGates'> =>
  ({inputs: {x, kernel}, attrs: {temperature}, backend}) => {
    const logits = matMul(backend, x, kernel, plain);
    const gates = softmax(backend, logits, 1 / temperature);
    backend.disposeData(logits.dataId);
    return gates;
  };

/** What the gradient of a stream starts from; the gates' are there if there was a selection. */
export interface StreamInputs {
  dp: TensorInfo;
  p: TensorInfo;
  dGates?: TensorInfo | undefined;
  gates?: TensorInfo | undefined;
}

/** The gradients of both streams. */
export const streamGradientsBy =
  (
    streamGradient: (
      backend: KernelBackend,
      x: TensorInfo,
      inputs: StreamInputs,
      attrs: {weight: number; floor: number},
    ) => TensorInfo,
  ): PeftKernel<'PeftStreamGatesGrad'> =>
  ({inputs, attrs: {weightA, weightB, floor}, backend}) => [
    streamGradient(backend, inputs.a, inputs, {weight: weightA, floor}),
    streamGradient(backend, inputs.b, inputs, {weight: weightB, floor}),
  ];

/** What a program of Adam writes; a program of a GPU backend has one output. */
export type AdamPart = 'm' | 'v' | 'value';

/** In the order of the kernel's outputs. */
export const ADAM_PARTS = ['m', 'v', 'value'] as const;

/** The inputs that each part reads. */
export const ADAM_INPUTS: Record<AdamPart, ('value' | 'm' | 'v' | 'gradient')[]> = {
  m: ['m', 'gradient'],
  v: ['v', 'gradient'],
  value: ['value', 'm', 'v'],
};

/**
 * The uniforms of each part, by name. The value is computed from the new moments:
 * value - rate · m / (sqrt(v / correction2) + epsilon), with rate = learningRate / correction1.
 */
export function adamUniforms(part: AdamPart, attrs: AdamAttrs): Record<string, number> {
  const {learningRate, beta1, beta2, epsilon, correction1, correction2} = attrs;
  if (part === 'm') return {keep: beta1, take: 1 - beta1};
  if (part === 'v') return {keep: beta2, take: 1 - beta2};
  return {rate: learningRate / correction1, correction2, epsilon};
}

/** A step of Adam, part by part. */
export const adamBy =
  (
    adam: (backend: KernelBackend, part: AdamPart, inputs: TensorInfo[], attrs: AdamAttrs) => TensorInfo,
  ): PeftKernel<'PeftAdam'> =>
  ({inputs, attrs, backend}) => {
    const known = {...inputs};
    return ADAM_PARTS.map((part) => {
      known[part] = adam(
        backend,
        part,
        ADAM_INPUTS[part].map((name) => known[name]),
        attrs,
      );
      return known[part];
    });
  };

/** The inputs of a call that are there, by name, in the order in which a program has them. */
export type GivenInputs = Record<string, TensorInfo>;

const given = (inputs: Record<string, TensorInfo | undefined>): GivenInputs =>
  Object.fromEntries(
    Object.entries(inputs).flatMap(([name, info]) => (info === undefined ? [] : [[name, info] as const])),
  );

type Size = [number, number];

/** A product with a packed matrix, by one program that unpacks as it multiplies. */
export const packedMatMulBy =
  (
    multiply: (
      backend: KernelBackend,
      inputs: GivenInputs,
      attrs: PackedMatMulAttrs,
      outputShape: Size,
    ) => TensorInfo,
  ): PeftKernel<'PeftPackedMatMul'> =>
  ({inputs, attrs, backend}) =>
    multiply(backend, given(inputs), attrs, [inputs.x.shape[0]!, attrs.shape[attrs.transposeW ? 0 : 1]]);

/** Rows of a packed matrix, all of them or those with an index. */
export const unpackRowsBy =
  (
    unpack: (
      backend: KernelBackend,
      inputs: GivenInputs,
      attrs: PackedAttrs,
      outputShape: Size,
    ) => TensorInfo,
  ): PeftKernel<'PeftUnpackRows'> =>
  ({inputs, attrs, backend}) =>
    unpack(backend, given(inputs), attrs, [inputs.indices?.shape[0] ?? attrs.shape[0], attrs.shape[1]]);
