import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import {
  ACTIVATION_GRAD,
  COMBINE,
  EXPERT_DOWN,
  EXPERT_OUTER,
  EXPERT_UP,
  MATMUL,
  MIX,
  MIX_GRAD,
  type PeftKernel,
  PROJECT,
  registerPeftKernels,
} from '../../kernel-registry.js';
import {registerAdam} from '../../ops/adam.js';
import type {CombineAttrs} from '../../ops/combine.js';
import type {MatMulAttrs} from '../../ops/matmul.js';
import {repairCumulative} from '../../repairs/cumulative.js';
import type {Activation, Mix} from '../../types.js';
import {batchedSizes} from '../product-sizes.js';
import {activationGradient} from './activations.js';
import {cpu} from './arrays.js';
import {combineArrays} from './combine.js';
import {expertDown, expertOuter, expertUp} from './experts.js';
import {gemm, multiply, transposed} from './gemm.js';
import {mixed, mixGradient} from './mix.js';
import {smallKernels} from './small-kernels.js';

function batchedMatMul(
  a: TensorInfo,
  b: TensorInfo,
  {transposeA, transposeB, scale}: MatMulAttrs,
  backend: KernelBackend,
): TensorInfo {
  const {read, write} = cpu(backend);
  const {batch, batchA, batchB, m, n, k, outputShape} = batchedSizes(a, b, {transposeA, transposeB});
  const values = {a: read(a), b: read(b)};
  const result = new Float32Array(batch * m * n);
  for (let i = 0; i < batch; i++) {
    const left = values.a.subarray((batchA === 1 ? 0 : i) * m * k).subarray(0, m * k);
    const right = values.b.subarray((batchB === 1 ? 0 : i) * k * n).subarray(0, k * n);
    const out = result.subarray(i * m * n, (i + 1) * m * n);
    gemm(
      transposeA ? transposed(left, k, m) : left,
      transposeB ? transposed(right, n, k) : right,
      out,
      m,
      n,
      k,
    );
  }
  if (scale !== 1) for (let i = 0; i < result.length; i++) result[i]! *= scale;
  return write(outputShape, result);
}

const kernels: Record<string, PeftKernel> = {
  ...smallKernels,
  [MATMUL]: ({inputs, attrs, backend}) =>
    batchedMatMul(inputs.a!, inputs.b!, attrs as unknown as MatMulAttrs, backend),
  [PROJECT]: ({inputs, attrs, backend}) => {
    const {read, write} = cpu(backend);
    const {x, a, kernel} = inputs as Record<string, TensorInfo>;
    const [m, k] = x!.shape as [number, number];
    const rank = a!.shape[1]!;
    const h = write([m, rank], multiply(read(x!), read(a!), {m, n: rank, k}));
    if (kernel === undefined) return [h];
    const n = attrs.columns as number;
    const all = read(kernel);
    const head = new Float32Array(k * n);
    for (let p = 0; p < k; p++) head.set(all.subarray(p * kernel.shape[1]!, p * kernel.shape[1]! + n), p * n);
    return [h, write([m, n], multiply(read(x!), head, {m, n, k}))];
  },
  [COMBINE]: ({inputs, attrs, backend}) => {
    const {read, write} = cpu(backend);
    const {y, z, u, rows, dOut} = combineArrays(inputs, attrs as unknown as CombineAttrs, read);
    return [y, z, u].filter((values) => values !== undefined).map((values) => write([rows, dOut], values));
  },
  [EXPERT_DOWN]: (call) => expertDown(call as never),
  [EXPERT_UP]: (call) => expertUp(call as never),
  [EXPERT_OUTER]: (call) => expertOuter(call as never),
  [MIX]: ({inputs, attrs, backend}) => {
    const {read, write} = cpu(backend);
    const {h, gates} = inputs as {h: TensorInfo; gates: TensorInfo};
    const [rows, r1] = h.shape as [number, number];
    const values = mixed(read(h), read(gates), rows, r1, gates.shape[1]!, attrs.mix as Mix);
    return write([rows, attrs.mix === 'dense' ? gates.shape[1]! / r1 : r1], values);
  },
  [MIX_GRAD]: ({inputs, attrs, backend}) => {
    const {read, write} = cpu(backend);
    const {dhm, h, gates} = inputs as {dhm: TensorInfo; h: TensorInfo; gates: TensorInfo};
    const [rows, r1] = h.shape as [number, number];
    const g = gates.shape[1]!;
    const {dh, dGates} = mixGradient(read(dhm), read(h), read(gates), rows, r1, g, attrs.mix as Mix);
    return [write(h.shape, dh), write(gates.shape, dGates)];
  },
  [ACTIVATION_GRAD]: ({inputs, attrs, backend}) => {
    const {read, write} = cpu(backend);
    const {dy, ref} = inputs as {dy: TensorInfo; ref: TensorInfo};
    return write(dy.shape, activationGradient(read(dy), read(ref), attrs.activation as Activation));
  },
};

/**
 * Registers the kernels of tfjs's `cpu` backend, and Adam's (see `registerAdam`); done by importing `@tfjs-peft/kernels/cpu`. Calling it
 * again is harmless.
 */
export function register(): void {
  registerPeftKernels('cpu', kernels);
  registerAdam();
  repairCumulative('cpu');
}
