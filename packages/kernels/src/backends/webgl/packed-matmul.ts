import type {PackedMatMulAttrs} from '../../kernel-attrs.js';
import {checkWords} from '../../packed/words.js';
import {type GivenInputs, packedMatMulBy} from '../gpu-kernels.js';
import {asRow, blockProgram, type Program, run, samplerName} from './program.js';
import {unpackCode, wordFactors} from './unpack.js';

/** GLSL that adds x W to a block, going over W's words: each is read once for all of its rows. */
function productLoop(attrs: PackedMatMulAttrs): string {
  const {
    shape: [rows],
    group,
  } = attrs;
  const {perWord, over, times} = wordFactors(attrs);
  return `
        int k = 0;
        int unitRow = 0;
        int unitEnd = 0;
        Unit unit;
        vec4 words;
        vec4 x;
        for (int wordRow = 0; wordRow < ${Math.ceil(rows / perWord)}; wordRow++) {
          if (imod(wordRow, 2) == 0) words = getCodes(wordRow, column);
          vec2 rest = rowOf(words, wordRow);
          for (int place = 0; place < ${perWord}; place++) {
            if (k < ${rows}) {
              if (k == unitEnd) {
                unit = unitAt(unitRow, column);
                unitRow += 1;
                unitEnd += ${group};
              }
              vec2 above = floor(rest * ${over});
              vec2 weights = weightsOf(rest - ${times} * above, unit);
              rest = above;
              bool even = imod(k, 2) == 0;
              if (even) x = getX(row, k);
              result += (even ? x.rrbb : x.ggaa) * weights.xyxy;
              k += 1;
            }
          }
        }`;
}

/** The same of x W^T: a block's columns are two rows of W, and the loop goes over W's columns. */
function transposedLoop(attrs: PackedMatMulAttrs): string {
  const {
    shape: [rows, columns],
    group,
  } = attrs;
  const {perWord} = wordFactors(attrs);
  const weights = (at: string): string =>
    `weightsOf(codesOf(wordsAt(wordRow.${at}, k), shift.${at}), unitAt(unitRow.${at}, k))`;
  return `
        ivec2 wRow = ivec2(column, ${rows % 2 === 0 ? 'column + 1' : `column + 1 < ${rows} ? column + 1 : column`});
        ivec2 wordRow = wRow / ${perWord};
        ivec2 unitRow = wRow / ${group};
        vec2 shift = vec2(shiftOf(wRow.x - wordRow.x * ${perWord}), shiftOf(wRow.y - wordRow.y * ${perWord}));
        for (int k = 0; k < ${columns}; k += 2) {
          vec4 x = getX(row, k);
          vec2 first = ${weights('x')};
          vec2 second = ${weights('y')};
          result += x.rrbb * vec4(first.x, second.x, first.x, second.x);
          ${columns % 2 === 0 ? '' : `if (k + 1 < ${columns})`} result += x.ggaa * vec4(first.y, second.y, first.y, second.y);
        }`;
}

/** The packed product x W + bias, or x W^T + bias, where W is unpacked word by word. */
export function packedMatMulProgram(
  inputs: GivenInputs,
  attrs: PackedMatMulAttrs,
  outputShape: [number, number],
): Program {
  const has = (part: string): boolean => inputs[part] !== undefined;
  return blockProgram({
    variableNames: Object.keys(inputs).map(samplerName),
    outputShape,
    functions: unpackCode(has, attrs),
    block: `
        vec4 result = ${has('bias') ? 'getBias(0, column).rgrg' : 'vec4(0.0)'};${
          attrs.transposeW ? transposedLoop(attrs) : productLoop(attrs)
        }`,
  });
}

export const PeftPackedMatMul = packedMatMulBy((backend, inputs, attrs, outputShape) => {
  checkWords('packedMatMul', attrs.wordBits);
  return run(backend, packedMatMulProgram(inputs, attrs, outputShape), Object.values(inputs).map(asRow));
});
