import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import {projectBy} from '../gpu-kernels.js';
import {batchedSizes, type Product} from '../product-sizes.js';
import {clearBeyond, type Program, reshaped, run} from './program.js';

/**
 * The packed product of [batchA, m, k] and [batchB, k, n]: each texel is a 2 x 2 block of rows and columns.
 */
export function matMulProgram(
  shape: {batch: number; m: number; n: number; k: number},
  shared: {a: boolean; b: boolean},
  {transposeA, transposeB, scale = 1}: Product,
): Program {
  const {batch, m, n, k} = shape;
  const left = `${shared.a ? '0' : 'batch'}, ${transposeA ? 'k, row' : 'row, k'}`;
  const right = `${shared.b ? '0' : 'batch'}, ${transposeB ? 'column, k' : 'k, column'}`;
  // Of the block [k, k+1] x [row, row+1], the cells of k and of k+1, each spread over the result's rows and
  // columns.
  const [left0, left1] = transposeA ? ['rrgg', 'bbaa'] : ['rrbb', 'ggaa'];
  const [right0, right1] = transposeB ? ['rbrb', 'gaga'] : ['rgrg', 'baba'];
  return {
    variableNames: ['Left', 'Right'],
    outputShape: [batch, m, n],
    packedInputs: true,
    packedOutput: true,
    ...(scale !== 1 && {customUniforms: [{name: 'scale', type: 'float'}]}),
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
        result *= scale;`
        }
        setOutput(result);
      }`,
  };
}

/** op(a) · op(b), where `columns` asks for the first columns of b only. */
export function matMul(backend: KernelBackend, a: TensorInfo, b: TensorInfo, product: Product): TensorInfo {
  const {batch, batchA, batchB, m, n, k, outputShape} = batchedSizes(a, b, product);
  const program = matMulProgram({batch, m, n, k}, {a: batchA === 1, b: batchB === 1}, product);
  const operands = [reshaped(a, [batchA, ...a.shape.slice(-2)]), reshaped(b, [batchB, ...b.shape.slice(-2)])];
  const {scale = 1} = product;
  const output = run(backend, program, operands, scale === 1 ? undefined : [[scale]]);
  return reshaped(output, outputShape);
}

export const PeftMatMul: PeftKernel<'PeftMatMul'> = ({inputs: {a, b}, attrs, backend}) =>
  matMul(backend, a, b, attrs);

export const PeftProject = projectBy(matMul);
