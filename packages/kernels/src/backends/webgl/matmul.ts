import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import {clearBeyond, type Program, reshaped, run} from './program.js';

interface Product {
  transposeA: boolean;
  transposeB: boolean;
  /** Columns of b that are wanted; default all. */
  columns?: number;
  /** Multiplies the product; default 1. */
  scale?: number;
}

/** The packed product of [batchA, m, k] and [batchB, k, n]: each texel is a 2 x 2 block of rows and columns. */
export function matMulProgram(
  shape: {batch: number; m: number; n: number; k: number},
  shared: {a: boolean; b: boolean},
  {transposeA, transposeB, scale = 1}: Product,
): Program {
  const {batch, m, n, k} = shape;
  const left = `${shared.a ? '0' : 'batch'}, ${transposeA ? 'k, row' : 'row, k'}`;
  const right = `${shared.b ? '0' : 'batch'}, ${transposeB ? 'column, k' : 'k, column'}`;
  // Of the block [k, k+1] x [row, row+1], the cells of k and of k+1, each spread over the result's rows and columns.
  const [left0, left1] = transposeA ? ['rrgg', 'bbaa'] : ['rrbb', 'ggaa'];
  const [right0, right1] = transposeB ? ['rbrb', 'gaga'] : ['rgrg', 'baba'];
  return {
    variableNames: ['Left', 'Right'],
    outputShape: [batch, m, n],
    packedInputs: true,
    packedOutput: true,
    userCode: `
      void main() {
        ivec3 at = getOutputCoords();
        int batch = at.x;
        int row = at.y;
        int column = at.z;
        vec4 result = vec4(0.0);
        for (int k = 0; k < ${k}; k += 2) {
          vec4 a = getLeft(${left});
          vec4 b = getRight(${right});
          result += a.${left0} * b.${right0};
          ${k % 2 === 0 ? '' : `if (k + 1 < ${k})`} result += a.${left1} * b.${right1};
        }
        ${clearBeyond(m, n)}${
          scale === 1
            ? ''
            : `
        result *= float(${scale});`
        }
        setOutput(result);
      }`,
  };
}

/** op(a) · op(b), where `columns` asks for the first columns of b only. */
export function matMul(backend: KernelBackend, a: TensorInfo, b: TensorInfo, product: Product): TensorInfo {
  const [rowsA, columnsA] = a.shape.slice(-2) as [number, number];
  const [rowsB, columnsB] = b.shape.slice(-2) as [number, number];
  const [m, k] = product.transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
  const n = product.columns ?? (product.transposeB ? rowsB : columnsB);
  const batchA = a.shape.length === 3 ? a.shape[0]! : 1;
  const batchB = b.shape.length === 3 ? b.shape[0]! : 1;
  const batch = batchA === 1 ? batchB : batchA;
  const program = matMulProgram({batch, m, n, k}, {a: batchA === 1, b: batchB === 1}, product);
  const output = run(backend, program, [
    reshaped(a, [batchA, rowsA, columnsA]),
    reshaped(b, [batchB, rowsB, columnsB]),
  ]);
  return a.shape.length === 3 || b.shape.length === 3 ? output : reshaped(output, [m, n]);
}
