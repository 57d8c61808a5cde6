import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import type {Mix} from '../../types.js';
import {flat, type Program, run} from './program.js';

/** WGSL of element (row, k) of mix(h, gates), from `hIn` [rows, r1] and `gatesIn` [rows, g]; see `Mix`. */
export function mixedCode(mix: Mix): string {
  if (mix === 'none') return 'fn mixed(row : i32, k : i32) -> f32 { return hIn[row * uniforms.r1 + k]; }';
  if (mix === 'expert') {
    return `fn mixed(row : i32, k : i32) -> f32 {
      return hIn[row * uniforms.r1 + k] * gatesIn[row * uniforms.g + k / (uniforms.r1 / uniforms.g)];
    }`;
  }
  return `fn mixed(row : i32, k : i32) -> f32 {
    let width = uniforms.g / uniforms.r1;
    var sum = 0.0;
    for (var i = 0; i < uniforms.r1; i = i + 1) {
      sum = fma(hIn[row * uniforms.r1 + i], gatesIn[row * uniforms.g + i * width + k], sum);
    }
    return sum;
  }`;
}

const UNIFORMS = 'r1 : i32, g : i32,';

function sizes(h: TensorInfo, gates: TensorInfo): {type: 'int32'; data: number[]}[] {
  return [
    {type: 'int32', data: [h.shape[1]!]},
    {type: 'int32', data: [gates.shape[1]!]},
  ];
}

export const PeftMix: PeftKernel<'PeftMix'> = ({inputs: {h, gates}, attrs: {mix: kind}, backend}) => {
  const width = kind === 'dense' ? gates.shape[1]! / h.shape[1]! : h.shape[1]!;
  const program: Program = {
    variableNames: ['hIn', 'gatesIn'],
    ...flat([h.shape[0]!, width]),
    shaderKey: `peftMix_${kind}`,
    uniforms: UNIFORMS,
    getUserCode: () => `
      ${mixedCode(kind)}
      fn main(index : i32) {
        if (index < uniforms.size) {
          let width = uniforms.outShape[1];
          result[index] = mixed(index / width, index % width);
        }
      }`,
  };
  return run(backend, program, [h, gates], sizes(h, gates));
};

const gradientCode: Record<'h' | 'gates', Record<'expert' | 'dense', string>> = {
  h: {
    expert: 'value = dIn[index] * otherIn[row * uniforms.g + column / (uniforms.r1 / uniforms.g)];',
    dense: `let width = uniforms.g / uniforms.r1;
      for (var j = 0; j < width; j = j + 1) {
        value = fma(dIn[row * width + j], otherIn[row * uniforms.g + column * width + j], value);
      }`,
  },
  gates: {
    expert: `let rank = uniforms.r1 / uniforms.g;
      for (var k = 0; k < rank; k = k + 1) {
        let at = row * uniforms.r1 + column * rank + k;
        value = fma(dIn[at], otherIn[at], value);
      }`,
    dense: `let width = uniforms.g / uniforms.r1;
      value = dIn[row * width + column % width] * otherIn[row * uniforms.r1 + column / width];`,
  },
};

/** Gradients of h and gates from that of mix(h, gates). */
export const PeftMixGrad: PeftKernel<'PeftMixGrad'> = ({inputs: {dhm, h, gates}, attrs, backend}) => {
  const kind = attrs.mix;
  return (['h', 'gates'] as const).map((of) => {
    const program: Program = {
      variableNames: ['dIn', 'otherIn'],
      ...flat((of === 'h' ? h : gates).shape),
      shaderKey: `peftMixGrad_${of}_${kind}`,
      uniforms: UNIFORMS,
      getUserCode: () => `
        fn main(index : i32) {
          if (index < uniforms.size) {
            let row = index / uniforms.outShape[1];
            let column = index % uniforms.outShape[1];
            var value = 0.0;
            ${gradientCode[of][kind]}
            result[index] = value;
          }
        }`,
    };
    return run(backend, program, [dhm, of === 'h' ? gates : h], sizes(h, gates));
  });
};
