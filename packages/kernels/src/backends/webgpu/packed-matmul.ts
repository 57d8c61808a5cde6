import type {PackedMatMulAttrs} from '../../kernel-attrs.js';
import {type GivenInputs, packedMatMulBy} from '../gpu-kernels.js';
import {type Program, run} from './program.js';
import {eachOfTile, filledProductLoop, TILE, tileDeclarations, tiled, tilePlace} from './tile.js';
import {inputNames, UNPACK_UNIFORMS, unpackCode, unpackKey, unpackUniforms} from './unpack.js';

/**
 * WGSL that fills the right tile with W, or its transpose: every invocation takes words, of which each has
 * several rows of a column.
 */
function fillRight(transposeW: boolean): string {
  const [rows, width, rowFrom, columnFrom] = transposeW
    ? ['columns', 'depth', 'columnStart', 'start']
    : ['depth', 'columns', 'start', 'columnStart'];
  const [major, minor] = transposeW ? ['i % ' + TILE, 'row'] : ['row', 'i % ' + TILE];
  return `
      {
        let perWord = uniforms.perWord;
        let firstWord = ${rowFrom} / perWord;
        let words = (min(${rowFrom} + ${TILE}, ${rows}) - 1) / perWord + 1 - firstWord;
        for (var i = i32(localIndex); i < words * ${TILE}; i = i + 64) {
          let wordRow = firstWord + i / ${TILE};
          let wColumn = ${columnFrom} + i % ${TILE};
          if (wColumn >= ${width}) { continue; }
          let word = bitcast<u32>(codesIn[wordRow * ${width} + wColumn]);
          var wRow = wordRow * perWord;
          var unitRow = wRow / uniforms.group;
          var unitEnd = (unitRow + 1) * uniforms.group;
          var unit = unitAt(unitRow, wColumn);
          for (var place = 0; place < perWord; place = place + 1) {
            if (wRow == unitEnd) {
              unitRow = unitRow + 1;
              unitEnd = unitEnd + uniforms.group;
              unit = unitAt(unitRow, wColumn);
            }
            let row = wRow - ${rowFrom};
            if (row >= 0 && row < ${TILE}) {
              let weight = weightOf(bitsOf(word, place, uniforms.bits), unit);
              // Of a word's last codes some may be of no row.
              rightTile[${major}][${minor} / 4][${minor} % 4] = select(0.0, weight, wRow < ${rows});
            }
            wRow = wRow + 1;
          }
        }
      }`;
}

/** The tiled product x W + bias, or x W^T + bias, where W is unpacked into the tiles. */
export function packedMatMulProgram(
  inputs: GivenInputs,
  attrs: PackedMatMulAttrs,
  outputShape: [number, number],
): Program {
  const names = Object.keys(inputs);
  const has = (part: string): boolean => inputs[part] !== undefined;
  return {
    variableNames: inputNames(inputs),
    outputShape,
    ...tiled(...outputShape),
    // Only tells tfjs that the program is not flat.
    dispatchLayout: {x: [1], y: [0]},
    shaderKey: `peftPackedMatMul_${unpackKey(names, attrs)}_${attrs.transposeW}`,
    uniforms: `depth : i32, ${UNPACK_UNIFORMS}`,
    getUserCode: () => `
      ${unpackCode(has, attrs)}
      ${tileDeclarations}
      fn main() {
        ${tilePlace('uniforms.outShape[0]', 'uniforms.outShape[1]', '1')}
        let depth = uniforms.depth;
        var sums : array<vec4<f32>, 4>;
        ${filledProductLoop('sums', 'depth', 'xIn[row * depth + k]', fillRight(attrs.transposeW))}${eachOfTile(
          `result[row * columns + column] = sums[r][c]${has('bias') ? ' + biasIn[column]' : ''};`,
        )}
      }`,
  };
}

export const PeftPackedMatMul = packedMatMulBy((backend, inputs, attrs, outputShape) =>
  run(backend, packedMatMulProgram(inputs, attrs, outputShape), Object.values(inputs), [
    {type: 'int32', data: [inputs.x!.shape[1]!]},
    ...unpackUniforms(attrs),
  ]),
);
