import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import {projectBy} from '../gpu-kernels.js';
import {batchedSizes, type Product} from '../product-sizes.js';
import {type Program, run} from './program.js';
import {eachOfTile, productLoop, tileDeclarations, tiled, tilePlace} from './tile.js';

/** The tiled product: [batch, m, k] · [batch, k, n], where a batch of one is shared. */
export function matMulProgram(
  shape: [batch: number, m: number, n: number],
  {transposeA, transposeB}: Product,
  outputShape: number[],
): Program {
  const [batch, m, n] = shape;
  return {
    variableNames: ['leftIn', 'rightIn'],
    outputShape,
    ...tiled(m, n, batch),
    // Only tells tfjs that the program is not flat.
    dispatchLayout: outputShape.length === 3 ? {x: [2], y: [1], z: [0]} : {x: [1], y: [0]},
    shaderKey: `peftMatMul_${transposeA}_${transposeB}`,
    uniforms:
      'batches : i32, m : i32, n : i32, depth : i32, leftWidth : i32, rightWidth : i32, leftStep : i32, rightStep : i32, scale : f32,',
    getUserCode: () => `
      ${tileDeclarations}
      fn main() {
        ${tilePlace('uniforms.m', 'uniforms.n', 'uniforms.batches')}
        let depth = uniforms.depth;
        let leftStart = batch * uniforms.leftStep;
        let rightStart = batch * uniforms.rightStep;
        var sums : array<vec4<f32>, 4>;
        ${productLoop(
          'sums',
          'depth',
          `leftIn[leftStart + ${transposeA ? 'k * uniforms.leftWidth + row' : 'row * uniforms.leftWidth + k'}]`,
          `rightIn[rightStart + ${transposeB ? 'column * uniforms.rightWidth + k' : 'k * uniforms.rightWidth + column'}]`,
        )}${eachOfTile('result[(batch * rows + row) * columns + column] = uniforms.scale * sums[r][c];')}
      }`,
  };
}

/** op(a) · op(b), where `columns` asks for the first columns of b only. */
export function matMul(backend: KernelBackend, a: TensorInfo, b: TensorInfo, product: Product): TensorInfo {
  const {batch, batchA, batchB, m, n, k, outputShape} = batchedSizes(a, b, product);
  const [widthA, widthB] = [a, b].map(({shape}) => shape[shape.length - 1]!) as [number, number];
  const steps = [batchA === 1 ? 0 : m * k, batchB === 1 ? 0 : b.shape[b.shape.length - 2]! * widthB];
  return run(
    backend,
    matMulProgram([batch, m, n], product, outputShape),
    [a, b],
    [
      {type: 'int32', data: [batch]},
      {type: 'int32', data: [m]},
      {type: 'int32', data: [n]},
      {type: 'int32', data: [k]},
      {type: 'int32', data: [widthA]},
      {type: 'int32', data: [widthB]},
      {type: 'int32', data: [steps[0]!]},
      {type: 'int32', data: [steps[1]!]},
      {type: 'float32', data: [product.scale ?? 1]},
    ],
  );
}

export const PeftMatMul: PeftKernel<'PeftMatMul'> = ({inputs: {a, b}, attrs, backend}) =>
  matMul(backend, a, b, attrs);

export const PeftProject = projectBy(matMul);
