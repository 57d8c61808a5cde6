import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import {asRow, blockProgram, type Program, run} from './program.js';

type Size = [number, number];

/*
 * A fragment of the output would have to go over its whole row; so a first program writes two numbers a row,
 * [rows, 2], of which a texel holds those of its two rows, and the next ones read them.
 */

/** GLSL that adds up a texel over the columns of its two rows, as one number a row. */
function rowSums(name: string, texel: string, width: number): string {
  const odd = width % 2 === 0 ? '' : `if (k + 1 >= ${width}) value.ga = vec2(0.0);`;
  return `
        vec2 ${name} = vec2(0.0);
        for (int k = 0; k < ${width}; k += 2) { vec4 value = ${texel}; ${odd} ${name} += value.rb + value.ga; }
        ${name} /= float(${width});`;
}

/** Mean and 1 / sqrt(variance + epsilon) of each row. */
export function momentsProgram([rows, width]: Size): Program {
  const deviation = '(getX(row, k) - mean.xxyy)';
  return blockProgram({
    variableNames: ['X'],
    outputShape: [rows, 2],
    uniforms: ['epsilon'],
    block: `${rowSums('mean', 'getX(row, k)', width)}
        ${rowSums('variance', `${deviation} * ${deviation}`, width)}
        vec2 factor = inversesqrt(variance + epsilon);
        vec4 result = vec4(mean.x, factor.x, mean.y, factor.y);`,
  });
}

const NORMALIZED = (k: string): string =>
  `((getX(row, ${k}) - getMoments(row, 0).rrbb) * getMoments(row, 0).ggaa)`;

export function layerNormProgram(size: Size, {gamma, beta}: {gamma: boolean; beta: boolean}): Program {
  const scaled = `${NORMALIZED('column')}${gamma ? ' * getGamma(0, column).rgrg' : ''}`;
  return blockProgram({
    variableNames: ['X', 'Moments', ...(gamma ? ['Gamma'] : []), ...(beta ? ['Beta'] : [])],
    outputShape: size,
    block: `vec4 result = ${scaled}${beta ? ' + getBeta(0, column).rgrg' : ''};`,
  });
}

/** Means of d = gamma ∘ dy, and of d ∘ the normalized row, of each row. */
export function alongProgram([rows, width]: Size, gamma: boolean): Program {
  const d = `getDy(row, k)${gamma ? ' * getGamma(0, k).rgrg' : ''}`;
  return blockProgram({
    variableNames: ['Dy', 'X', 'Moments', ...(gamma ? ['Gamma'] : [])],
    outputShape: [rows, 2],
    block: `${rowSums('constant', d, width)}
        ${rowSums('along', `${d} * ${NORMALIZED('k')}`, width)}
        vec4 result = vec4(constant.x, along.x, constant.y, along.y);`,
  });
}

export function layerNormGradientProgram(size: Size, gamma: boolean): Program {
  const d = `getDy(row, column)${gamma ? ' * getGamma(0, column).rgrg' : ''}`;
  return blockProgram({
    variableNames: ['Dy', 'X', 'Moments', 'Along', ...(gamma ? ['Gamma'] : [])],
    outputShape: size,
    block: `vec4 along = getAlong(row, 0);
        vec4 result = getMoments(row, 0).ggaa * (${d} - along.rrbb - ${NORMALIZED('column')} * along.ggaa);`,
  });
}

function moments(backend: KernelBackend, x: TensorInfo, epsilon: number): TensorInfo {
  return run(backend, momentsProgram(x.shape as Size), [x], [[epsilon]]);
}

/** Layer normalization of the rows of x. */
export const PeftLayerNorm: PeftKernel<'PeftLayerNorm'> = ({inputs, attrs: {epsilon}, backend}) => {
  const {x, gamma, beta} = inputs;
  const ofRows = moments(backend, x, epsilon);
  const given = {gamma: gamma !== undefined, beta: beta !== undefined};
  const vectors = [gamma, beta].filter((vector) => vector !== undefined).map(asRow);
  const output = run(backend, layerNormProgram(x.shape as Size, given), [x, ofRows, ...vectors]);
  backend.disposeData(ofRows.dataId);
  return output;
};

/** The gradient of x. */
export const PeftLayerNormGrad: PeftKernel<'PeftLayerNormGrad'> = ({inputs, attrs: {epsilon}, backend}) => {
  const {dy, x, gamma} = inputs;
  const size = x.shape as Size;
  const scale = gamma === undefined ? [] : [asRow(gamma)];
  const ofRows = moments(backend, x, epsilon);
  const along = run(backend, alongProgram(size, scale.length > 0), [dy, x, ofRows, ...scale]);
  const program = layerNormGradientProgram(size, scale.length > 0);
  const output = run(backend, program, [dy, x, ofRows, along, ...scale]);
  for (const {dataId} of [ofRows, along]) backend.disposeData(dataId);
  return output;
};
