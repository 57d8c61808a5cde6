import type {PeftKernel} from '../../kernel-map.js';
import {batchedSizes} from '../product-sizes.js';
import {cpu} from './arrays.js';
import {gemm, multiply, transposed} from './gemm.js';

/** See `matMul` in ops/matmul.ts. */
export const PeftMatMul: PeftKernel<'PeftMatMul'> = ({inputs: {a, b}, attrs, backend}) => {
  const {transposeA, transposeB, scale} = attrs;
  const {read, write} = cpu(backend);
  const {batch, batchA, batchB, m, n, k, outputShape} = batchedSizes(a, b, {transposeA, transposeB});
  const values = {a: read(a), b: read(b)};
  const result = new Float32Array(batch * m * n);
  for (let i = 0; i < batch; i++) {
    const left = values.a.subarray((batchA === 1 ? 0 : i) * m * k).subarray(0, m * k);
    const right = values.b.subarray((batchB === 1 ? 0 : i) * k * n).subarray(0, k * n);
    const out = result.subarray(i * m * n, (i + 1) * m * n);
    gemm(
      transposeA ? transposed(left, k, m) : left,
      transposeB ? transposed(right, n, k) : right,
      out,
      m,
      n,
      k,
    );
  }
  if (scale !== 1) for (let i = 0; i < result.length; i++) result[i]! *= scale;
  return write(outputShape, result);
};

/** See `project` in ops/project.ts. */
export const PeftProject: PeftKernel<'PeftProject'> = ({inputs: {x, a, kernel}, attrs, backend}) => {
  const {read, write} = cpu(backend);
  const [m, k] = x.shape as [number, number];
  const rank = a.shape[1]!;
  const h = write([m, rank], multiply(read(x), read(a), {m, n: rank, k}));
  if (kernel === undefined) return [h];
  const n = attrs.columns;
  const all = read(kernel);
  const head = new Float32Array(k * n);
  for (let p = 0; p < k; p++) head.set(all.subarray(p * kernel.shape[1]!, p * kernel.shape[1]! + n), p * n);
  return [h, write([m, n], multiply(read(x), head, {m, n, k}))];
};
