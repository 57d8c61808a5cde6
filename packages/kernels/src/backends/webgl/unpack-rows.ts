import type {PackedAttrs} from '../../kernel-attrs.js';
import {checkWords} from '../../packed/words.js';
import {type GivenInputs, unpackRowsBy} from '../gpu-kernels.js';
import {asRow, blockProgram, type Program, run, samplerName} from './program.js';
import {unpackCode, wordFactors} from './unpack.js';

const INDEX = `
      int wRowOf(int row) {
        int odd = imod(row, 2);
        vec4 texel = getIndices(0, row - odd);
        return int(odd == 0 ? texel.r : texel.g);
      }`;

/** Rows of W, all or by their indices; one that W does not have is zeros, as in tfjs's gather. */
export function unpackRowsProgram(
  inputs: GivenInputs,
  attrs: PackedAttrs,
  outputShape: [number, number],
): Program {
  const {shape, group} = attrs;
  const {perWord} = wordFactors(attrs);
  const has = (part: string): boolean => inputs[part] !== undefined;
  return blockProgram({
    variableNames: Object.keys(inputs).map(samplerName),
    outputShape,
    functions: `${unpackCode(has, attrs)}
      ${has('indices') ? INDEX : ''}
      vec2 unpacked(int row, int column) {
        int wRow = ${has('indices') ? 'wRowOf(row)' : 'row'};
        if (wRow < 0 || wRow >= ${shape[0]}) return vec2(0.0);
        int wordRow = wRow / ${perWord};
        vec2 codes = codesOf(wordsAt(wordRow, column), shiftOf(wRow - wordRow * ${perWord}));
        return weightsOf(codes, unitAt(wRow / ${group}, column));
      }`,
    block: 'vec4 result = vec4(unpacked(row, column), unpacked(row + 1, column));',
  });
}

export const PeftUnpackRows = unpackRowsBy((backend, inputs, attrs, outputShape) => {
  checkWords('unpackRows', attrs.wordBits);
  return run(backend, unpackRowsProgram(inputs, attrs, outputShape), Object.values(inputs).map(asRow));
});
