import type {PeftKernel} from '../../kernel-registry.js';
import {attach} from './attach.js';

const FLOAT = 4;

/** Matrix product of rank 2 or 3 operands, float32; a batch of 1 is shared. */
export const matMul: PeftKernel = ({inputs, attrs, backend}) => {
  const {a, b} = inputs as Record<'a' | 'b', (typeof inputs)[string]>;
  const {transposeA, transposeB} = attrs as {transposeA: boolean; transposeB: boolean};
  const wasm = attach(backend);
  const [batchA, rowsA, columnsA] = as3d(a.shape);
  const [batchB, rowsB, columnsB] = as3d(b.shape);
  const k = transposeA ? rowsA : columnsA;
  const n = transposeB ? rowsB : columnsB;
  let m = transposeA ? columnsA : rowsA;
  let batch = batchA === 1 ? batchB : batchA;
  const shape = a.shape.length === 3 || b.shape.length === 3 ? [batch, m, n] : [m, n];
  if (batchB === 1 && !transposeA) {
    // One b for all: the batch is only more rows.
    m *= batchA;
    batch = 1;
  }
  const {gemm, gemmScratch} = wasm.exports;
  const scratch = wasm.scratch(gemmScratch(m, k, Number(transposeA)));
  const out = wasm.output(shape);
  gemm(
    wasm.pointerTo(a),
    wasm.pointerTo(b),
    wasm.pointerTo(out),
    batch,
    m,
    n,
    k,
    batchA === 1 ? 0 : rowsA * columnsA * FLOAT,
    batchB === 1 ? 0 : rowsB * columnsB * FLOAT,
    columnsB,
    Number(transposeA),
    Number(transposeB),
    scratch,
  );
  return out;
};

function as3d(shape: readonly number[]): [number, number, number] {
  const [rows, columns] = shape.slice(-2) as [number, number];
  return [shape.length === 3 ? shape[0]! : 1, rows, columns];
}
