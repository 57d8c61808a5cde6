import * as tf from '@tensorflow/tfjs-core';
import {attach} from '../backends/wasm/attach.js';
import {biasActivation, combineInfos} from '../backends/wasm/combine.js';
import {multiply, productSizes} from '../backends/wasm/matmul.js';
import {ACTIVATIONS, type Activation} from '../types.js';
import {anyBias, isVector} from './fused-bias.js';
import {overrideKernel, restoreKernel} from './overrides.js';

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

/** Whether the operands are a product that our kernel does; what they are otherwise is the stock kernel's to refuse. */
function isProduct(a: tf.TensorInfo, b: tf.TensorInfo, {transposeA, transposeB}: ProductAttrs): boolean {
  if (a.dtype !== 'float32' || b.dtype !== 'float32' || a.shape.length < 2 || b.shape.length < 2)
    return false;
  const innerA = a.shape[a.shape.length - (transposeA ? 2 : 1)];
  const innerB = b.shape[b.shape.length - (transposeB ? 1 : 2)];
  return innerA === innerB;
}

function batchMatMul(stock: tf.KernelFunc): tf.KernelFunc {
  return (call) => {
    const {a, b} = call.inputs as unknown as Operands;
    const attrs = call.attrs as unknown as ProductAttrs;
    const backend = call.backend as tf.KernelBackend;
    if (a.dtype === 'int32' && b.dtype === 'int32')
      return asFloats(batchMatMul(stock), {a, b}, attrs, backend);
    if (!isProduct(a, b, attrs)) return stock(call);
    const {transposeA, transposeB} = attrs;
    return multiply({a, b, transposeA, transposeB}, backend);
  };
}

/** A product of integers, of which the stock backend has none; exact up to 2^24, as on the GPU backends. */
function asFloats(
  product: tf.KernelFunc,
  {a, b}: Operands,
  {transposeA, transposeB}: ProductAttrs,
  backend: tf.KernelBackend,
): tf.TensorInfo {
  const cast = (x: tf.TensorInfo, dtype: tf.DataType): tf.TensorInfo =>
    tf.getKernel(tf.Cast, 'wasm').kernelFunc({inputs: {x}, attrs: {dtype}, backend}) as tf.TensorInfo;
  const [left, right] = [cast(a, 'float32'), cast(b, 'float32')];
  const attrs = {transposeA, transposeB};
  const floats = product({inputs: {a: left, b: right}, attrs, backend}) as tf.TensorInfo;
  const out = cast(floats, 'int32');
  for (const {dataId} of [left, right, floats]) backend.disposeData(dataId);
  return out;
}

function isActivation(name: string): name is Activation {
  return (ACTIVATIONS as readonly string[]).includes(name);
}

/** The activations of tfjs's fused product that ours lacks, as the stock kernels that do nothing else. */
const SEPARATE: Record<string, string> = {leakyrelu: tf.LeakyRelu, prelu: tf.Prelu};

function fusedMatMul(stock: tf.KernelFunc): tf.KernelFunc {
  return (call) => {
    const {a, b, bias, preluActivationWeights: alpha} = call.inputs as Infos & Operands;
    const attrs = call.attrs as unknown as FusedAttrs;
    const {n} = productSizes({a, b, ...attrs});
    const separate = SEPARATE[attrs.activation];
    const activation = separate === undefined ? attrs.activation : 'linear';
    const fits = bias == null || (bias.shape.length === 1 && bias.shape[0] === n);
    if (!isProduct(a, b, attrs) || !isActivation(activation) || !fits) return stock(call);
    const backend = call.backend as tf.KernelBackend;
    const out = productWithBias({a, b}, bias, {...attrs, activation}, backend);
    if (separate === undefined) return out;
    // Not left to the stock product: with a bias and transposed or batched operands, tfjs 4.22 computes something else.
    const inputs = {x: out, ...(alpha == null ? {} : {alpha})};
    const {kernelFunc} = tf.getKernel(separate, 'wasm');
    const activated = kernelFunc({inputs, backend, attrs: {alpha: attrs.leakyreluAlpha ?? 0.2}});
    backend.disposeData(out.dataId);
    return activated;
  };
}

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
export function registerProducts(): void {
  overrideKernel(tf.BatchMatMul, batchMatMul);
  overrideKernel(tf._FusedMatMul, (stock) =>
    anyBias(fusedMatMul(stock), (bias, {inputs, attrs}) => {
      const {n} = productSizes({...(inputs as unknown as Operands), ...(attrs as ProductAttrs)});
      return isVector(bias.shape, n);
    }),
  );
}

/** Puts back what {@link registerProducts} replaced. */
export function unregisterProducts(): void {
  restoreKernel(tf.BatchMatMul);
  restoreKernel(tf._FusedMatMul);
}
