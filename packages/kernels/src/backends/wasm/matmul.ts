import type {BackendWasm} from '@tensorflow/tfjs-backend-wasm';
import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import {backend_util, util} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import {attach} from './attach.js';
import {leavesToThreads, threadedTransposed} from './threads.js';

const FLOAT = 4;

interface Operands {
  a: TensorInfo;
  b: TensorInfo;
  transposeA: boolean;
  transposeB: boolean;
}

/** The sizes of a product of operands of any rank >= 2, their leading axes broadcast as tf.matMul does. */
export function productSizes({a, b, transposeA, transposeB}: Operands): {
  outer: number[];
  m: number;
  n: number;
  k: number;
} {
  const [rowsA, columnsA] = a.shape.slice(-2) as [number, number];
  const [rowsB, columnsB] = b.shape.slice(-2) as [number, number];
  return {
    outer: backend_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2)),
    m: transposeA ? columnsA : rowsA,
    n: transposeB ? rowsB : columnsB,
    k: transposeA ? rowsA : columnsA,
  };
}

/** The product of float32 operands of any rank >= 2. */
export function multiply(operands: Operands, backend: KernelBackend): TensorInfo {
  const {a, b, transposeA, transposeB} = operands;
  const wasm = attach(backend);
  const {outer, m, n, k} = productSizes(operands);
  const batchA = util.sizeFromShape(a.shape.slice(0, -2));
  const batchB = util.sizeFromShape(b.shape.slice(0, -2));
  const batch = util.sizeFromShape(outer);
  const {gemm, gemmScratch} = wasm.exports;
  // One b for all and a's batches one after the other: the batch is only more rows.
  const fold = batchB === 1 && batchA === batch && !transposeA;
  const [count, rows] = fold ? [1, m * batch] : [batch, m];
  if (count === 1 && leavesToThreads(wasm, rows, n, k)) {
    const product = threadedTransposed(wasm, operands, [rows, n, k]);
    return {...product, shape: [...outer, m, n]};
  }
  const scratch = wasm.scratch(gemmScratch(rows, n, k, Number(transposeA)));
  const out = wasm.output([...outer, m, n]);
  const [pA, pB, pOut] = [a, b, out].map((t) => wasm.pointerTo(t)) as [number, number, number];
  const [bytesA, bytesB, bytesOut] = [m * k * FLOAT, k * n * FLOAT, m * n * FLOAT];
  const ldb = b.shape[b.shape.length - 1]!;
  const call = (
    offsetA: number,
    offsetB: number,
    offsetOut: number,
    times: number,
    each: [number, number],
  ) => {
    const [from, by, to] = [pA + offsetA * bytesA, pB + offsetB * bytesB, pOut + offsetOut * bytesOut];
    const [strideA, strideB] = each;
    gemm(
      from,
      by,
      to,
      times,
      rows,
      n,
      k,
      strideA,
      strideB,
      ldb,
      Number(transposeA),
      Number(transposeB),
      scratch,
    );
  };
  const simple = (size: number) => size === 1 || size === batch;
  if (simple(batchA) && simple(batchB)) {
    call(0, 0, 0, count, [batchA === 1 ? 0 : bytesA, batchB === 1 ? 0 : bytesB]);
    return out;
  }
  const indexA = broadcastIndex(a.shape.slice(0, -2), outer);
  const indexB = broadcastIndex(b.shape.slice(0, -2), outer);
  for (let i = 0; i < batch; i++) call(indexA(i), indexB(i), i, 1, [0, 0]);
  return out;
}

/** From a flat index into `outer` to the one into `shape`, which broadcasts to it. */
function broadcastIndex(shape: readonly number[], outer: readonly number[]): (flat: number) => number {
  return (flat) => {
    let index = 0;
    let stride = 1;
    for (let axis = outer.length - 1, own = shape.length - 1; own >= 0; axis--, own--) {
      index += (shape[own] === 1 ? 0 : flat % outer[axis]!) * stride;
      stride *= shape[own]!;
      flat = Math.floor(flat / outer[axis]!);
    }
    return index;
  };
}

/** The matMul kernel: see `matMul` in ops/matmul.ts. */
export const PeftMatMul: PeftKernel<'PeftMatMul'> = ({inputs: {a, b}, attrs, backend}) => {
  const {transposeA, transposeB, scale} = attrs;
  const out = multiply({a, b, transposeA, transposeB}, backend);
  if (scale !== 1) {
    const values = (backend as BackendWasm).typedArrayFromHeap(out);
    for (let i = 0; i < values.length; i++) values[i]! *= scale;
  }
  return out;
};
