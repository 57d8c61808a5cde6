import type {BackendWasm} from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import {attach} from '../backends/wasm/attach.js';
import {biasActivation, combineInfos} from '../backends/wasm/combine.js';
import {multiply, productSizes} from '../backends/wasm/matmul.js';
import {type Decorator, type Kernel, wasmPatch} from '../kernel-patches.js';
import type {AnyPatch} from '../patches.js';
import {cast, run, using} from '../repairs/infos.js';
import {ACTIVATIONS, type Activation} from '../types.js';
import {anyBias, isVector} from './fused-bias.js';

interface ProductAttrs {
  transposeA: boolean;
  transposeB: boolean;
}

interface FusedAttrs extends ProductAttrs {
  activation: string;
  leakyreluAlpha?: number;
}

type Infos = Record<string, tf.TensorInfo | undefined>;

interface Operands {
  a: tf.TensorInfo;
  b: tf.TensorInfo;
}

/** Whether our kernel can compute the product of these operands; the stock kernel refuses the others. */
function isProduct(a: tf.TensorInfo, b: tf.TensorInfo, {transposeA, transposeB}: ProductAttrs): boolean {
  if (a.dtype !== 'float32' || b.dtype !== 'float32' || a.shape.length < 2 || b.shape.length < 2)
    return false;
  const innerA = a.shape[a.shape.length - (transposeA ? 2 : 1)];
  const innerB = b.shape[b.shape.length - (transposeB ? 1 : 2)];
  return innerA === innerB;
}

const batchMatMul: Decorator<ProductAttrs, BackendWasm> = (stock) => (call) => {
  const {a, b} = call.inputs as Partial<Operands> as Operands;
  const {attrs, backend} = call;
  if (a.dtype === 'int32' && b.dtype === 'int32') return asFloats(batchMatMul(stock), {a, b}, attrs, backend);
  if (!isProduct(a, b, attrs)) return stock(call);
  const {transposeA, transposeB} = attrs;
  return multiply({a, b, transposeA, transposeB}, backend);
};

/** A product of integers, which the stock backend lacks; exact up to 2^24, as on the GPU backends. */
function asFloats(
  product: Kernel<ProductAttrs, BackendWasm>,
  {a, b}: Operands,
  {transposeA, transposeB}: ProductAttrs,
  backend: BackendWasm,
): tf.TensorInfo {
  const [left, right] = [cast(a, 'float32', backend), cast(b, 'float32', backend)];
  const inputs = {a: left, b: right};
  const floats = product({inputs, attrs: {transposeA, transposeB}, backend}) as tf.TensorInfo;
  return using(backend, [left, right, floats], () => cast(floats, 'int32', backend));
}

function isActivation(name: string): name is Activation {
  return (ACTIVATIONS as readonly string[]).includes(name);
}

/**
 * The activations of tfjs's fused product that ours lacks, with the stock kernels that compute nothing else.
 */
const SEPARATE: Record<string, string> = {leakyrelu: tf.LeakyRelu, prelu: tf.Prelu};

const fusedMatMul: Decorator<FusedAttrs, BackendWasm> = (stock) => (call) => {
  const {bias, preluActivationWeights: alpha} = call.inputs;
  const {a, b} = call.inputs as Partial<Operands> as Operands;
  const {attrs, backend} = call;
  const {n} = productSizes({a, b, ...attrs});
  const separate = SEPARATE[attrs.activation];
  const activation = separate === undefined ? attrs.activation : 'linear';
  const fits = bias == null || (bias.shape.length === 1 && bias.shape[0] === n);
  if (!isProduct(a, b, attrs) || !isActivation(activation) || !fits) return stock(call);
  const out = productWithBias({a, b}, bias, {...attrs, activation}, backend);
  if (separate === undefined) return out;
  // The stock product must not run here: with a bias and transposed or batched operands, tfjs 4.22 computes
  // something else.
  const inputs = {x: out, ...(alpha == null ? {} : {alpha})};
  return using(backend, [out], () => run(separate, inputs, {alpha: attrs.leakyreluAlpha ?? 0.2}, backend));
};

function productWithBias(
  {a, b}: Operands,
  bias: tf.TensorInfo | undefined,
  {transposeA, transposeB, activation}: ProductAttrs & {activation: Activation},
  backend: tf.KernelBackend,
): tf.TensorInfo {
  const {outer, m, n} = productSizes({a, b, transposeA, transposeB});
  const rows = tf.util.sizeFromShape(outer) * m;
  if (!transposeA && !transposeB && tf.util.sizeFromShape(b.shape.slice(0, -2)) === 1) {
    const x = {...a, shape: [rows, a.shape[a.shape.length - 1]!]};
    const inputs: Infos = {x, kernel: {...b, shape: b.shape.slice(-2)}};
    if (bias != null) inputs.bias = bias;
    const attributes = {scale: 1, mix: 'none', activation, saveZ: false, saveU: false} as const;
    const [y] = combineInfos(backend, inputs, attributes);
    return {...y!, shape: [...outer, m, n]};
  }
  const out = multiply({a, b, transposeA, transposeB}, backend);
  if (bias != null || activation !== 'linear') {
    const wasm = attach(backend);
    const z = wasm.pointerTo(out);
    biasActivation(wasm, {z, bias: bias == null ? 0 : wasm.pointerTo(bias), rows, dOut: n, activation});
  }
  return out;
}

/** Replaces the wasm backend's matrix products, whose transposed and batched cases run a scalar loop. */
export const PRODUCTS: AnyPatch[] = [
  wasmPatch(tf.BatchMatMul, 'training', batchMatMul),
  wasmPatch<FusedAttrs>(tf._FusedMatMul, 'training', (stock) =>
    anyBias(fusedMatMul(stock), (bias, {inputs, attrs}) => {
      const {a, b} = inputs as Partial<Operands> as Operands;
      return isVector(bias.shape, productSizes({a, b, ...attrs}).n);
    }),
  ),
];
