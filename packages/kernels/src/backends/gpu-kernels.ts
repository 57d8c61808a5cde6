import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import {
  ACTIVATION_GRAD,
  ADAM,
  BLEND,
  BLEND_GRAD,
  COLUMN_SUM,
  COMBINE,
  GATES,
  LAYER_NORM,
  LAYER_NORM_GRAD,
  MATMUL,
  MIX,
  MIX_GRAD,
  type PeftKernel,
  PROJECT,
  SOFTMAX_GRAD,
  STREAM_GATES,
  STREAM_GATES_GRAD,
} from '../kernel-registry.js';
import type {AdamAttrs} from '../ops/adam.js';
import type {BlendAttrs} from '../ops/blend.js';
import type {CombineAttrs} from '../ops/combine.js';
import type {GatesAttrs} from '../ops/gates.js';
import type {MatMulAttrs} from '../ops/matmul.js';
import type {StreamGatesAttrs} from '../ops/stream-gates.js';
import type {Activation, Mix} from '../types.js';
import {ADAM_INPUTS, ADAM_PARTS, type AdamPart} from './adam-parts.js';
import type {BlendNamed} from './blend.js';
import type {Named} from './combine-stages.js';
import type {Product} from './product-sizes.js';

/** Inputs of layer normalization; gamma and beta are vectors. */
export interface LayerNormInputs {
  x: TensorInfo;
  gamma?: TensorInfo;
  beta?: TensorInfo;
}

/** What the gradient of a stream starts from; the gates' are there if there was a selection. */
export interface StreamInputs {
  dp: TensorInfo;
  p: TensorInfo;
  dGates?: TensorInfo;
  gates?: TensorInfo;
}

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
  softmax(backend: KernelBackend, x: TensorInfo, scale: number): TensorInfo;
  softmaxGradient(backend: KernelBackend, dy: TensorInfo, y: TensorInfo, scale: number): TensorInfo;
  streams(backend: KernelBackend, a: TensorInfo, b: TensorInfo, attrs: StreamGatesAttrs): TensorInfo;
  keep(backend: KernelBackend, p: TensorInfo, theta: number): TensorInfo;
  streamGradient(
    backend: KernelBackend,
    x: TensorInfo,
    inputs: StreamInputs,
    attrs: {weight: number; floor: number},
  ): TensorInfo;
  layerNorm(backend: KernelBackend, inputs: LayerNormInputs, epsilon: number): TensorInfo;
  layerNormGradient(
    backend: KernelBackend,
    inputs: {dy: TensorInfo; x: TensorInfo; gamma?: TensorInfo},
    epsilon: number,
  ): TensorInfo;
  blend(backend: KernelBackend, inputs: BlendNamed, attrs: BlendAttrs): TensorInfo;
  blendGradient(
    backend: KernelBackend,
    inputs: BlendNamed,
    attrs: BlendAttrs,
    of: 'share' | 'gate',
  ): TensorInfo;
}

const plain = {transposeA: false, transposeB: false};

/** Products, and what is done around them at a site. */
function siteKernels(programs: GpuPrograms): Record<string, PeftKernel> {
  const {matMul, combine, mix, mixGradient, activationGradient, columnSum} = programs;
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
  };
}

/** Routers' gates. */
function gateKernels(programs: GpuPrograms): Record<string, PeftKernel> {
  const {matMul, softmax, softmaxGradient, streams, keep, streamGradient, blend, blendGradient} = programs;
  return {
    [GATES]: ({inputs, attrs, backend}) => {
      const logits = matMul(backend, inputs.x!, inputs.kernel!, plain);
      const gates = softmax(backend, logits, 1 / (attrs as unknown as GatesAttrs).temperature);
      backend.disposeData(logits.dataId);
      return gates;
    },
    [SOFTMAX_GRAD]: ({inputs, attrs, backend}) =>
      softmaxGradient(backend, inputs.dy!, inputs.y!, attrs.scale as number),
    [STREAM_GATES]: ({inputs, attrs, backend}) => {
      const {theta} = attrs as unknown as StreamGatesAttrs;
      const p = streams(backend, inputs.a!, inputs.b!, attrs as unknown as StreamGatesAttrs);
      return theta === null ? [p] : [p, keep(backend, p, theta)];
    },
    [STREAM_GATES_GRAD]: ({inputs, attrs, backend}) => {
      const {weightA, weightB, floor} = attrs as unknown as StreamGatesAttrs;
      const from = inputs as unknown as StreamInputs;
      return [
        streamGradient(backend, inputs.a!, from, {weight: weightA, floor}),
        streamGradient(backend, inputs.b!, from, {weight: weightB, floor}),
      ];
    },
    [BLEND]: ({inputs, attrs, backend}) => blend(backend, inputs, attrs as unknown as BlendAttrs),
    [BLEND_GRAD]: ({inputs, attrs, backend}) =>
      (['share', 'gate'] as const).map((of) =>
        blendGradient(backend, inputs, attrs as unknown as BlendAttrs, of),
      ),
  };
}

/** The kernels of a GPU backend, which differ in their programs only. */
export function gpuKernels(programs: GpuPrograms): Record<string, PeftKernel> {
  const {adam, layerNorm, layerNormGradient} = programs;
  return {
    ...siteKernels(programs),
    ...gateKernels(programs),
    [LAYER_NORM]: ({inputs, attrs, backend}) =>
      layerNorm(backend, inputs as unknown as LayerNormInputs, attrs.epsilon as number),
    [LAYER_NORM_GRAD]: ({inputs, attrs, backend}) =>
      layerNormGradient(
        backend,
        inputs as unknown as {dy: TensorInfo; x: TensorInfo; gamma?: TensorInfo},
        attrs.epsilon as number,
      ),
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
