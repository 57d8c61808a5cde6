import type {PeftKernel} from '../../kernel-map.js';
import {type Program, run, spread} from './program.js';

const LANES = 64;

/** WGSL that adds up a value of each column over a row's lanes. */
const reduce = (name: string, value: string): string => `
        var ${name} = 0.0;
        for (var i = lane; i < width; i = i + ${LANES}) { let at = start + i; ${name} = ${name} + ${value}; }
        ${name} = total(${name}, lane) / f32(width);`;

/** A workgroup a row: its lanes share the row's sums. */
function rowProgram(
  variableNames: string[],
  [rows, width]: [number, number],
  shaderKey: string,
  code: string,
): Program {
  return {
    variableNames,
    outputShape: [rows, width],
    workgroupSize: [LANES, 1, 1],
    // Only tells tfjs that the program is not flat.
    dispatchLayout: {x: [1], y: [0]},
    dispatch: spread(rows),
    shaderKey,
    uniforms: 'epsilon : f32,',
    getUserCode: () => `
      var<workgroup> partial : array<f32, ${LANES}>;
      fn total(value : f32, lane : i32) -> f32 {
        workgroupBarrier();
        partial[lane] = value;
        workgroupBarrier();
        var sum = 0.0;
        for (var i = 0; i < ${LANES}; i = i + 1) { sum = sum + partial[i]; }
        return sum;
      }
      fn main() {
        let width = uniforms.outShape[1];
        let lane = i32(localId.x);
        // Every workgroup goes through the barriers; those beyond the last row do its work again.
        let row = min(i32(workgroupId.y) * i32(numWorkgroups.x) + i32(workgroupId.x), uniforms.outShape[0] - 1);
        let start = row * width;
        ${reduce('mean', 'xIn[at]')}
        ${reduce('variance', '(xIn[at] - mean) * (xIn[at] - mean)')}
        let factor = inverseSqrt(variance + uniforms.epsilon);
        ${code}
      }`,
  };
}

const each = (value: string): string =>
  `for (var i = lane; i < width; i = i + ${LANES}) { let at = start + i; result[at] = ${value}; }`;

export function layerNormProgram(
  size: [number, number],
  {gamma, beta}: {gamma: boolean; beta: boolean},
): Program {
  return rowProgram(
    ['xIn', ...(gamma ? ['gammaIn'] : []), ...(beta ? ['betaIn'] : [])],
    size,
    `peftLayerNorm_${gamma}_${beta}`,
    each(`(xIn[at] - mean) * factor${gamma ? ' * gammaIn[i]' : ''}${beta ? ' + betaIn[i]' : ''}`),
  );
}

/** Layer normalization of the rows of x. */
export const PeftLayerNorm: PeftKernel<'PeftLayerNorm'> = ({inputs, attrs: {epsilon}, backend}) => {
  const {x, gamma, beta} = inputs;
  const tensors = [x, gamma, beta].filter((input) => input !== undefined);
  const given = {gamma: gamma !== undefined, beta: beta !== undefined};
  const program = layerNormProgram(x.shape as [number, number], given);
  return run(backend, program, tensors, [{type: 'float32', data: [epsilon]}]);
};

export function layerNormGradientProgram(size: [number, number], gamma: boolean): Program {
  const d = gamma ? 'dyIn[at] * gammaIn[i]' : 'dyIn[at]';
  return rowProgram(
    ['dyIn', 'xIn', ...(gamma ? ['gammaIn'] : [])],
    size,
    `peftLayerNormGrad_${gamma}`,
    `${reduce('constant', d)}
        ${reduce('along', `${d} * (xIn[at] - mean) * factor`)}
        ${each(`factor * (${d} - constant - (xIn[at] - mean) * factor * along)`)}`,
  );
}

/** The gradient of x. */
export const PeftLayerNormGrad: PeftKernel<'PeftLayerNormGrad'> = ({inputs, attrs: {epsilon}, backend}) => {
  const {dy, x, gamma} = inputs;
  const program = layerNormGradientProgram(x.shape as [number, number], gamma !== undefined);
  const tensors = [dy, x, gamma].filter((input) => input !== undefined);
  return run(backend, program, tensors, [{type: 'float32', data: [epsilon]}]);
};
