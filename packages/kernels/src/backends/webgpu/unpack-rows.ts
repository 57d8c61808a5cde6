import type {PackedAttrs} from '../../kernel-attrs.js';
import {type GivenInputs, unpackRowsBy} from '../gpu-kernels.js';
import {flat, type Program, run} from './program.js';
import {inputNames, UNPACK_UNIFORMS, unpackCode, unpackKey, unpackUniforms} from './unpack.js';

/** Rows of W, all or by their indices; one that W does not have is zeros, as in tfjs's gather. */
export function unpackRowsProgram(
  inputs: GivenInputs,
  attrs: PackedAttrs,
  outputShape: [number, number],
): Program {
  const has = (part: string): boolean => inputs[part] !== undefined;
  return {
    variableNames: inputNames(inputs),
    ...flat(outputShape),
    shaderKey: `peftUnpackRows_${unpackKey(Object.keys(inputs), attrs)}`,
    uniforms: `rows : i32, ${UNPACK_UNIFORMS}`,
    getUserCode: () => `
      ${unpackCode(has, attrs)}
      fn main(index : i32) {
        if (index < uniforms.size) {
          let columns = uniforms.outShape[1];
          let column = index % columns;
          let row = ${has('indices') ? 'indicesIn[index / columns]' : 'index / columns'};
          var weight = 0.0;
          if (row >= 0 && row < uniforms.rows) {
            let word = bitcast<u32>(codesIn[row / uniforms.perWord * columns + column]);
            let code = bitsOf(word, row % uniforms.perWord, uniforms.bits);
            weight = weightOf(code, unitAt(row / uniforms.group, column));
          }
          result[index] = weight;
        }
      }`,
  };
}

export const PeftUnpackRows = unpackRowsBy((backend, inputs, attrs, outputShape) =>
  run(backend, unpackRowsProgram(inputs, attrs, outputShape), Object.values(inputs), [
    {type: 'int32', data: [attrs.shape[0]]},
    ...unpackUniforms(attrs),
  ]),
);
