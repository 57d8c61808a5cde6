import type {TopKAttrs} from '../../kernel-attrs.js';
import type {PeftKernel} from '../../kernel-map.js';
import {blockProgram, type Program, run} from './program.js';

/**
 * A texel holds two columns of two rows. For each row, the program passes k times over all columns to find
 * the last of the k largest entries, and keeps that entry and all larger ones. Of equal entries, the one with
 * the lower index counts as larger.
 */
export function topKProgram(
  [rows, width]: [number, number],
  {k, renormalize}: TopKAttrs,
  gradient: boolean,
): Program {
  const over = (body: string): string => `for (int i = 0; i < ${width}; i++) { ${body} }`;
  const values = gradient ? 'getDy(row, column)' : 'getP(row, column)';
  const along = gradient && renormalize ? ' - vec4(vec2(first.w), vec2(second.w))' : '';
  return blockProgram({
    variableNames: [...(gradient ? ['Dy'] : []), 'P'],
    outputShape: [rows, width],
    functions: `
      float pick(vec4 texel, int r, int c) {
        vec2 half2 = imod(r, 2) == 0 ? texel.rg : texel.ba;
        return imod(c, 2) == 0 ? half2.x : half2.y;
      }
      bool keeps(float p, int c, float last, int lastAt) {
        return p > last || (p == last && c <= lastAt);
      }
      // Of one row: the last that is kept, its column, what all add up to, and the mean of dy by them.
      vec4 lastOf(int r) {
        float last = 3.4e38;
        int lastAt = -1;
        float sum = 0.0;
        for (int n = 0; n < ${k}; n++) {
          float best = -3.4e38;
          int bestAt = ${width};
          ${over(`
            float p = pick(getP(r, i), r, i);
            if (!keeps(p, i, last, lastAt) && (p > best || bestAt == ${width})) { best = p; bestAt = i; }`)}
          last = best;
          lastAt = bestAt;
          sum += best;
        }
        float along = 0.0;
        ${
          gradient && renormalize
            ? over(`
          float p = pick(getP(r, i), r, i);
          if (keeps(p, i, last, lastAt)) { along += pick(getDy(r, i), r, i) * p; }`)
            : ''
        }
        return vec4(last, float(lastAt), sum, along / sum);
      }
      float kept(float p, int c, vec4 of) { return keeps(p, c, of.x, int(of.y)) ? 1.0 : 0.0; }`,
    block: `
        vec4 first = lastOf(row);
        vec4 second = lastOf(row + 1);
        vec4 p = getP(row, column);
        vec4 mask = vec4(
          kept(p.r, column, first), kept(p.g, column + 1, first), kept(p.b, column, second), kept(p.a, column + 1, second));
        vec4 result = mask * (${values}${along})${renormalize ? ' / vec4(vec2(first.z), vec2(second.z))' : ''};`,
  });
}

/** See `topKGates` in ops/top-k.ts. */
export const PeftTopK: PeftKernel<'PeftTopK'> = ({inputs: {p}, attrs, backend}) =>
  run(backend, topKProgram(p.shape as [number, number], attrs, false), [p]);

export const PeftTopKGrad: PeftKernel<'PeftTopKGrad'> = ({inputs: {dy, p}, attrs, backend}) =>
  run(backend, topKProgram(p.shape as [number, number], attrs, true), [dy, p]);
