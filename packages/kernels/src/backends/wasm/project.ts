import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import {attach} from './attach.js';
import {leavesToThreads, threadedProduct} from './threads.js';

/** The columns of the narrowest tile of the wasm module. */
const NARROW = 8;

/** h = x A, and x W[:, :columns], read in place through W's row stride. */
export const PeftProject: PeftKernel<'PeftProject'> = ({inputs: {x, a, kernel}, attrs, backend}) => {
  const wasm = attach(backend);
  const [rows, dIn] = x.shape as [number, number];
  const scratch = wasm.scratch(wasm.exports.gemmScratch(rows, 1, dIn, 0));
  const times = (matrix: TensorInfo, columns: number): TensorInfo => {
    if (columns === matrix.shape[1] && leavesToThreads(wasm, rows, columns, dIn)) {
      const product = threadedProduct(wasm, {a: x, b: matrix}, [rows, columns, dIn]);
      return {...product, shape: [rows, columns]};
    }
    const out = wasm.output([rows, columns]);
    const [left, right, to] = [x, matrix, out].map((t) => wasm.pointerTo(t)) as [number, number, number];
    wasm.exports.gemm(left, right, to, 1, rows, columns, dIn, 0, 0, matrix.shape[1]!, 0, 0, scratch);
    return out;
  };
  const rank = a.shape[1]!;
  if (kernel === undefined) return [times(a, rank)];
  const columns = attrs.columns;
  if (rows === 1 || rank + columns > NARROW) return [times(a, rank), times(kernel, columns)];
  const outputs = [wasm.output([rows, rank]), wasm.output([rows, columns])];
  const at = [x, a, kernel, ...outputs].map((t) => wasm.pointerTo(t));
  const [pX, pA, pW, pH, pZ] = at as [number, number, number, number, number];
  wasm.exports.gemmPair(pX, pA, rank, pW, kernel.shape[1]!, columns, pH, pZ, rows, dIn, scratch);
  return outputs;
};
