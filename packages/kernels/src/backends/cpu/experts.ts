import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {UpAttrs} from '../../kernel-attrs.js';
import type {PeftKernel} from '../../kernel-map.js';
import {type ExpertGroups, groupByExpert} from '../expert-groups.js';
import {cpu} from './arrays.js';
import {gemm, transposed} from './gemm.js';

/** A row-major matrix. */
export interface Matrix {
  values: Float32Array;
  columns: number;
}

function matrixOf(tensor: TensorInfo, backend: KernelBackend): Matrix {
  return {values: cpu(backend).read(tensor), columns: tensor.shape[1]!};
}

/** Rows `list` of a matrix, `width` columns from `column` on, each times its own factor. */
function gather(
  {values, columns}: Matrix,
  list: Int32Array,
  column: number,
  width: number,
  factor: (row: number) => number = () => 1,
): Float32Array {
  const result = new Float32Array(list.length * width);
  list.forEach((row, i) => {
    const from = row * columns + column;
    const f = factor(row);
    for (let j = 0; j < width; j++) result[i * width + j] = f * values[from + j]!;
  });
  return result;
}

/** Adds rows of `width` to the rows `list` of a matrix, from `column` on. */
function scatterAdd(
  {values, columns}: Matrix,
  list: Int32Array,
  column: number,
  width: number,
  added: Float32Array,
  factor = 1,
): void {
  list.forEach((row, i) => {
    const to = row * columns + column;
    for (let j = 0; j < width; j++) values[to + j]! += factor * added[i * width + j]!;
  });
}

/**
 * Expert `e`'s block of a weight: `rank` rows of it, or, where it holds the experts in columns, that many
 * columns as rows.
 */
function blockRows({values, columns}: Matrix, e: number, rank: number, inColumns: boolean): Float32Array {
  if (!inColumns) return values.subarray(e * rank * columns, (e + 1) * rank * columns);
  return transposed(blockColumns({values, columns}, e, rank), values.length / columns, rank);
}

function blockColumns({values, columns}: Matrix, e: number, rank: number): Float32Array {
  const rows = values.length / columns;
  const result = new Float32Array(rows * rank);
  for (let i = 0; i < rows; i++) {
    result.set(values.subarray(i * columns + e * rank, i * columns + (e + 1) * rank), i * rank);
  }
  return result;
}

function eachExpert({starts, rows}: ExpertGroups, visit: (e: number, list: Int32Array) => void): void {
  for (let e = 0; e + 1 < starts.length; e++) {
    if (starts[e + 1]! > starts[e]!) visit(e, rows.subarray(starts[e]!, starts[e + 1]!));
  }
}

/** What a row's block is multiplied by. */
function factors(gates: Matrix, e: number, scale: number, weigh: boolean): (row: number) => number {
  return weigh ? (row) => scale * gates.values[row * gates.columns + e]! : () => scale;
}

/** out += scale · p w over the experts that each row chose; see `expertUp` in ops/experts.ts. */
export function upArrays(p: Matrix, w: Matrix, gates: Matrix, attrs: UpAttrs, out: Matrix): void {
  const {scale, weigh, transposeW} = attrs;
  const rank = p.columns / gates.columns;
  const width = out.columns;
  eachExpert(groupByExpert(gates.values, gates.columns), (e, list) => {
    const left = gather(p, list, e * rank, rank, factors(gates, e, scale, weigh));
    const part = new Float32Array(list.length * width);
    gemm(left, blockRows(w, e, rank, transposeW), part, list.length, width, rank);
    scatterAdd(out, list, 0, width, part);
  });
}

function written(backend: KernelBackend, {values, columns}: Matrix, rows: number): TensorInfo {
  return cpu(backend).write([rows, columns], values);
}

/** The kernel of `expertDown` in ops/experts.ts. */
export const PeftExpertDown: PeftKernel<'PeftExpertDown'> = ({inputs, attrs, backend}) => {
  const [x, w, gates] = [inputs.x, inputs.w, inputs.gates].map((t) => matrixOf(t, backend)) as [
    Matrix,
    Matrix,
    Matrix,
  ];
  const rows = inputs.x.shape[0]!;
  const all = inputs.w.shape[attrs.transposeW ? 0 : 1]!;
  const rank = all / gates.columns;
  const out = {values: new Float32Array(rows * all), columns: all};
  eachExpert(groupByExpert(gates.values, gates.columns), (e, list) => {
    const part = new Float32Array(list.length * rank);
    const block = attrs.transposeW
      ? transposed(blockRows(w, e, rank, false), rank, x.columns)
      : blockColumns(w, e, rank);
    gemm(gather(x, list, 0, x.columns), block, part, list.length, rank, x.columns);
    scatterAdd(out, list, e * rank, rank, part, attrs.scale);
  });
  return written(backend, out, rows);
};

/** The kernel of `expertUp` in ops/experts.ts. */
export const PeftExpertUp: PeftKernel<'PeftExpertUp'> = ({inputs, attrs, backend}) => {
  const [p, w, gates] = [inputs.p, inputs.w, inputs.gates].map((t) => matrixOf(t, backend)) as [
    Matrix,
    Matrix,
    Matrix,
  ];
  const rows = inputs.p.shape[0]!;
  const columns = inputs.w.shape[attrs.transposeW ? 0 : 1]!;
  const out = {values: new Float32Array(rows * columns), columns};
  upArrays(p, w, gates, attrs, out);
  return written(backend, out, rows);
};

/** The kernel of `expertOuter` in ops/experts.ts. */
export const PeftExpertOuter: PeftKernel<'PeftExpertOuter'> = ({inputs, attrs, backend}) => {
  const [p, q, gates] = [inputs.p, inputs.q, inputs.gates].map((t) => matrixOf(t, backend)) as [
    Matrix,
    Matrix,
    Matrix,
  ];
  const rank = p.columns / gates.columns;
  const width = q.columns;
  const {scale, weigh, transposed: inColumns} = attrs;
  const out = new Float32Array(p.columns * width);
  eachExpert(groupByExpert(gates.values, gates.columns), (e, list) => {
    const left = gather(p, list, e * rank, rank, factors(gates, e, scale, weigh));
    gemm(
      transposed(left, list.length, rank),
      gather(q, list, 0, width),
      out.subarray(e * rank * width, (e + 1) * rank * width),
      rank,
      width,
      list.length,
    );
  });
  if (!inColumns) return written(backend, {values: out, columns: width}, p.columns);
  return written(backend, {values: transposed(out, p.columns, width), columns: p.columns}, width);
};
