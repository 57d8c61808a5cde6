import type {PeftKernel} from '../../kernel-map.js';
import {type Program, run, spread} from './program.js';

/** Columns and row lanes of a workgroup. */
const COLUMNS = 16;
const LANES = 16;

/**
 * Column sums of a, or of a ∘ b, as [1, columns]: each lane adds up every 16th row, and the first lane adds
 * up the lanes.
 */
export function columnSumProgram(columns: number, product: boolean): Program {
  return {
    variableNames: product ? ['aIn', 'bIn'] : ['aIn'],
    outputShape: [1, columns],
    workgroupSize: [COLUMNS, LANES, 1],
    // Two axes tell tfjs that the program is not flat.
    dispatchLayout: {x: [1], y: [0]},
    dispatch: spread(Math.ceil(columns / COLUMNS)),
    shaderKey: `peftColumnSum_${product}`,
    uniforms: 'rows : i32,',
    getUserCode: () => `
      var<workgroup> partial : array<array<f32, ${COLUMNS}>, ${LANES}>;
      fn main() {
        let columns = uniforms.outShape[1];
        let group = i32(workgroupId.y) * i32(numWorkgroups.x) + i32(workgroupId.x);
        let column = group * ${COLUMNS} + i32(localId.x);
        var sum = 0.0;
        if (column < columns) {
          for (var row = i32(localId.y); row < uniforms.rows; row = row + ${LANES}) {
            let at = row * columns + column;
            sum = sum + aIn[at]${product ? ' * bIn[at]' : ''};
          }
        }
        partial[localId.y][localId.x] = sum;
        workgroupBarrier();
        if (localId.y == 0u && column < columns) {
          for (var lane = 1; lane < ${LANES}; lane = lane + 1) { sum = sum + partial[lane][localId.x]; }
          result[column] = sum;
        }
      }`,
  };
}

export const PeftColumnSum: PeftKernel<'PeftColumnSum'> = ({inputs: {a, b}, backend}) => {
  const [rows, columns] = a.shape as [number, number];
  const program = columnSumProgram(columns, b !== undefined);
  const output = run(backend, program, b === undefined ? [a] : [a, b], [{type: 'int32', data: [rows]}]);
  return {...output, shape: [columns]};
};
