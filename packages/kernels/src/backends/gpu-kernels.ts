import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import {
  ACTIVATION_GRAD,
  ADAM,
  COLUMN_SUM,
  COMBINE,
  MATMUL,
  MIX,
  MIX_GRAD,
  type PeftKernel,
  PROJECT,
} from '../kernel-registry.js';
import type {AdamAttrs} from '../ops/adam.js';
import type {CombineAttrs} from '../ops/combine.js';
import type {MatMulAttrs} from '../ops/matmul.js';
import type {Activation, Mix} from '../types.js';
import {ADAM_INPUTS, ADAM_PARTS, type AdamPart} from './adam-parts.js';
import type {Named} from './combine-stages.js';
import type {Product} from './product-sizes.js';

/** What a GPU backend brings: its programs, each behind a function that runs it. */
export interface GpuPrograms {
  matMul(backend: KernelBackend, a: TensorInfo, b: TensorInfo, product: Product): TensorInfo;
  combine(backend: KernelBackend, inputs: Named, attrs: CombineAttrs): TensorInfo[];
  mix(backend: KernelBackend, h: TensorInfo, gates: TensorInfo, kind: Mix): TensorInfo;
  mixGradient(
    backend: KernelBackend,
    inputs: {dhm: TensorInfo; h: TensorInfo; gates: TensorInfo},
    kind: 'expert' | 'dense',
  ): TensorInfo[];
  activationGradient(
    backend: KernelBackend,
    dy: TensorInfo,
    ref: TensorInfo,
    activation: Activation,
  ): TensorInfo;
  columnSum(backend: KernelBackend, a: TensorInfo, b?: TensorInfo): TensorInfo;
  adam(backend: KernelBackend, part: AdamPart, inputs: TensorInfo[], attrs: AdamAttrs): TensorInfo;
}

const plain = {transposeA: false, transposeB: false};

/** The kernels of a GPU backend, which differ in their programs only. */
export function gpuKernels(programs: GpuPrograms): Record<string, PeftKernel> {
  const {matMul, combine, mix, mixGradient, activationGradient, columnSum, adam} = programs;
  return {
    [MATMUL]: ({inputs, attrs, backend}) =>
      matMul(backend, inputs.a!, inputs.b!, attrs as unknown as MatMulAttrs),
    [PROJECT]: ({inputs, attrs, backend}) => {
      const {x, a, kernel} = inputs as {x: TensorInfo; a: TensorInfo; kernel?: TensorInfo};
      const h = matMul(backend, x, a, plain);
      if (kernel === undefined) return [h];
      return [h, matMul(backend, x, kernel, {...plain, columns: attrs.columns as number})];
    },
    [COMBINE]: ({inputs, attrs, backend}) => combine(backend, inputs, attrs as unknown as CombineAttrs),
    [MIX]: ({inputs, attrs, backend}) => mix(backend, inputs.h!, inputs.gates!, attrs.mix as Mix),
    [MIX_GRAD]: ({inputs, attrs, backend}) =>
      mixGradient(
        backend,
        inputs as {dhm: TensorInfo; h: TensorInfo; gates: TensorInfo},
        attrs.mix as 'expert' | 'dense',
      ),
    [ACTIVATION_GRAD]: ({inputs, attrs, backend}) =>
      activationGradient(backend, inputs.dy!, inputs.ref!, attrs.activation as Activation),
    [COLUMN_SUM]: ({inputs, backend}) => columnSum(backend, inputs.a!, inputs.b),
    [ADAM]: ({inputs, attrs, backend}) => {
      const known: Record<string, TensorInfo> = {...inputs};
      return ADAM_PARTS.map((part) => {
        const read = ADAM_INPUTS[part].map((name) => known[name]!);
        const written = adam(backend, part, read, attrs as unknown as AdamAttrs);
        known[part] = written;
        return written;
      });
    },
  };
}
