import type {PeftKernel} from '../../kernel-map.js';
import {type Program, reshaped, run} from './program.js';

/** Column sums of a, or of a ∘ b, as [1, columns]: a texel holds two rows of two columns. */
export function columnSumProgram(rows: number, columns: number, product: boolean): Program {
  return {
    variableNames: product ? ['A', 'B'] : ['A'],
    outputShape: [1, columns],
    packedInputs: true,
    packedOutput: true,
    userCode: `
      void main() {
        ivec2 at = getOutputCoords();
        vec2 sum = vec2(0.0);
        for (int row = 0; row < ${rows}; row += 2) {
          vec4 texel = getA(row, at.y)${product ? ' * getB(row, at.y)' : ''};
          sum += texel.rg;
          ${rows % 2 === 0 ? '' : `if (row + 1 < ${rows})`} sum += texel.ba;
        }
        ${columns % 2 === 0 ? '' : `if (at.y + 1 >= ${columns}) sum.g = 0.0;`}
        setOutput(vec4(sum, 0.0, 0.0));
      }`,
  };
}

export const PeftColumnSum: PeftKernel<'PeftColumnSum'> = ({inputs: {a, b}, backend}) => {
  const [rows, columns] = a.shape as [number, number];
  const program = columnSumProgram(rows, columns, b !== undefined);
  return reshaped(run(backend, program, b === undefined ? [a] : [a, b]), [columns]);
};
