import type {TensorInfo} from '@tensorflow/tfjs-core';

/** How a matrix product is asked for. */
export interface Product {
  transposeA: boolean;
  transposeB: boolean;
  /** Columns of b that are wanted; default all. */
  columns?: number;
  /** Multiplies the product; default 1. */
  scale?: number;
}

/** The sizes of op(a) · op(b) for operands of rank 2 or 3; a batch of one, or none, is shared. */
export interface ProductSizes {
  batch: number;
  batchA: number;
  batchB: number;
  m: number;
  n: number;
  k: number;
  /** [m, n], or [batch, m, n] if either operand has rank 3. */
  outputShape: number[];
}

export function batchedSizes(a: TensorInfo, b: TensorInfo, product: Product): ProductSizes {
  const [rowsA, columnsA] = a.shape.slice(-2) as [number, number];
  const [rowsB, columnsB] = b.shape.slice(-2) as [number, number];
  const [m, k] = product.transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
  const n = product.columns ?? (product.transposeB ? rowsB : columnsB);
  const batchA = a.shape.length === 3 ? a.shape[0]! : 1;
  const batchB = b.shape.length === 3 ? b.shape[0]! : 1;
  const batch = batchA === 1 ? batchB : batchA;
  const batched = a.shape.length === 3 || b.shape.length === 3;
  return {batch, batchA, batchB, m, n, k, outputShape: batched ? [batch, m, n] : [m, n]};
}
