import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import {attach, type WasmKernels} from './attach.js';

/** The sums of the columns of a [rows, width], or of a ∘ b, as [width]. */
export function columnSums(
  wasm: WasmKernels,
  {a, b}: {a: TensorInfo; b?: TensorInfo | undefined},
  [rows, width]: [number, number],
): TensorInfo {
  const out = wasm.output([width]);
  const [from, by, to] = [a, b, out].map((t) => (t === undefined ? 0 : wasm.pointerTo(t)));
  wasm.exports.columnSum(from!, by!, to!, rows, width);
  return out;
}

/** See `columnSum` in ops/matmul.ts. */
export const PeftColumnSum: PeftKernel<'PeftColumnSum'> = ({inputs: {a, b}, backend}) =>
  columnSums(attach(backend), {a, b}, a.shape as [number, number]);
