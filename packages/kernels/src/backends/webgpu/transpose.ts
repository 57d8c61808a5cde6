import type {WebGPUBackend} from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import {kernelPatch} from '../../kernel-patches.js';
import {flat, type Program, run} from './program.js';

const COORDINATES = ['x', 'y', 'z', 'w', 'u', 'v'];

/**
 * Moves the elements of a tensor of 2 to 6 axes, whatever they are: the output's axis i is the input's axis
 * perm[i].
 */
export function transposeProgram(shape: number[], perm: number[]): Program {
  const rank = shape.length;
  const from = shape.map((_, axis) => `coords.${COORDINATES[perm.indexOf(axis)]}`);
  return {
    variableNames: ['xIn'],
    ...flat(perm.map((axis) => shape[axis]!)),
    shaderKey: `peftTranspose_${perm}`,
    getUserCode: () => `
      fn main(index : i32) {
        if (index < uniforms.size) {
          let coords = getCoordsFromIndex(index);
          result[index] = xIn[getIndexFromCoords${rank}D(${rank > 4 ? `vec${rank}` : `vec${rank}<i32>`}(${from}), uniforms.xInShape)];
        }
      }`,
  };
}

/**
 * Repairs the webgpu backend's Transpose of int32 and bool: tfjs 4.22's is an invalid shader, so that the
 * result is zeros without a word, or with two axes goes through floats, which hold no integer above 2^24.
 */
export const TRANSPOSE = kernelPatch<tf.TransposeAttrs, WebGPUBackend>(
  tf.Transpose,
  'webgpu',
  'dtype',
  (stock) => (call) => {
    const x = call.inputs.x!;
    const {perm} = call.attrs;
    const {backend} = call;
    const integers = x.dtype === 'int32' || x.dtype === 'bool';
    const known = x.shape.length >= 2 && x.shape.length <= COORDINATES.length;
    if (!integers || !known || backend.shouldExecuteOnCPU([x])) return stock(call);
    return run(backend, transposeProgram(x.shape, perm), [x], [], x.dtype);
  },
);
