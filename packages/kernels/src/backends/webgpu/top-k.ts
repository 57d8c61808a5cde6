import type {PeftKernel} from '../../kernel-map.js';
import {flat, type Program, run} from './program.js';

/**
 * Each invocation handles one element: it passes k times over the row to find the last of the k largest
 * entries, and keeps that entry and all larger ones. Of equal entries, the one with the lower index counts as
 * larger.
 */
export function topKProgram(shape: number[], renormalize: boolean, gradient: boolean): Program {
  const over = (body: string): string => `for (var i = start; i < start + width; i = i + 1) { ${body} }`;
  const along = `
          var along = 0.0;
          ${over('if (keeps(i, last, lastAt)) { along = fma(dyIn[i], pIn[i], along); }')}
          along = along / sum;`;
  const value = gradient
    ? renormalize
      ? '(dyIn[index] - along) / sum'
      : 'dyIn[index]'
    : renormalize
      ? 'pIn[index] / sum'
      : 'pIn[index]';
  return {
    variableNames: [...(gradient ? ['dyIn'] : []), 'pIn'],
    ...flat(shape),
    shaderKey: `peftTopK_${renormalize}_${gradient}`,
    uniforms: 'k : i32,',
    getUserCode: () => `
      fn keeps(i : i32, last : f32, lastAt : i32) -> bool {
        return pIn[i] > last || (pIn[i] == last && i <= lastAt);
      }
      fn main(index : i32) {
        if (index < uniforms.size) {
          let width = uniforms.outShape[1];
          let start = index / width * width;
          var last = 3.4e38;
          var lastAt = -1;
          var sum = 0.0;
          for (var n = 0; n < uniforms.k; n = n + 1) {
            var best = -3.4e38;
            var bestAt = start + width;
            ${over('if (!keeps(i, last, lastAt) && (pIn[i] > best || bestAt == start + width)) { best = pIn[i]; bestAt = i; }')}
            last = best;
            lastAt = bestAt;
            sum = sum + best;
          }${gradient && renormalize ? along : ''}
          // A product, so that what is no number stays none.
          result[index] = f32(keeps(index, last, lastAt)) * (${value});
        }
      }`,
  };
}

/** See `topKGates` in ops/top-k.ts. */
export const PeftTopK: PeftKernel<'PeftTopK'> = ({inputs: {p}, attrs: {k, renormalize}, backend}) =>
  run(backend, topKProgram(p.shape, renormalize, false), [p], [{type: 'int32', data: [k]}]);

export const PeftTopKGrad: PeftKernel<'PeftTopKGrad'> = ({
  inputs: {dy, p},
  attrs: {k, renormalize},
  backend,
}) => run(backend, topKProgram(p.shape, renormalize, true), [dy, p], [{type: 'int32', data: [k]}]);
