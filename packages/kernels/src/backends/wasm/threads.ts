import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs-core';
import {_FusedMatMul, BatchMatMul, getKernel} from '@tensorflow/tfjs-core';
import {stockKernel} from '../../kernel-patches.js';
import type {WasmKernels} from './attach.js';

const FLOAT = 4;

/**
 * Multiply-adds from which several threads are faster than our one; below, waking them costs more than they
 * save.
 */
const LEAST_WORK = 2 ** 20;
/** Fewer columns than this are mostly padding in XNNPACK's tiles. */
const LEAST_COLUMNS = 16;

/**
 * Whether to leave a product to XNNPACK, which tfjs uses: it runs on all of the backend's threads, ours on
 * one.
 */
export function leavesToThreads(wasm: WasmKernels, m: number, n: number, k: number): boolean {
  return (
    wasm.threads > 1 &&
    n >= LEAST_COLUMNS &&
    m > 1 &&
    m * n * k >= LEAST_WORK &&
    stock(BatchMatMul) !== undefined
  );
}

function stock(kernelName: string): KernelFunc | undefined {
  return stockKernel(kernelName, 'wasm') ?? getKernel(kernelName, 'wasm')?.kernelFunc;
}

/** a · b + bias by XNNPACK, for a [m, k] and b [k, n] of any shape that holds so many numbers; [1, m, n]. */
export function threadedProduct(
  wasm: WasmKernels,
  {a, b, bias}: {a: TensorInfo; b: TensorInfo; bias?: TensorInfo | undefined},
  [m, n, k]: [number, number, number],
): TensorInfo {
  return stock(bias === undefined ? BatchMatMul : _FusedMatMul)!({
    inputs: {a: {...a, shape: [1, m, k]}, b: {...b, shape: [1, k, n]}, ...(bias && {bias})},
    attrs: {transposeA: false, transposeB: false, activation: 'linear'},
    backend: wasm.backend,
  }) as TensorInfo;
}

/** The transpose of t [rows, columns]; the caller disposes it. */
function transposed(wasm: WasmKernels, t: TensorInfo, [rows, columns]: [number, number]): TensorInfo {
  const out = wasm.output([columns, rows]);
  const [from, to] = [wasm.pointerTo(t), wasm.pointerTo(out)];
  wasm.exports.transpose(from, columns * FLOAT, rows, columns, to, rows * FLOAT);
  return out;
}

/**
 * The same for every transposition. XNNPACK has only the plain product, so transposed operands are rearranged
 * first.
 */
export function threadedTransposed(
  wasm: WasmKernels,
  {a, b, transposeA, transposeB}: {a: TensorInfo; b: TensorInfo; transposeA: boolean; transposeB: boolean},
  [m, n, k]: [number, number, number],
): TensorInfo {
  const left = transposeA ? transposed(wasm, a, [k, m]) : a;
  const right = transposeB ? transposed(wasm, b, [n, k]) : b;
  const out = threadedProduct(wasm, {a: left, b: right}, [m, n, k]);
  if (transposeA) wasm.backend.disposeData(left.dataId);
  if (transposeB) wasm.backend.disposeData(right.dataId);
  return out;
}
