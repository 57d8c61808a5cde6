import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import {gatesBy, type StreamInputs, streamGradientsBy} from '../gpu-kernels.js';
import {matMul} from './matmul.js';
import {flat, type Program, run} from './program.js';

/*
 * Rows of gates are short, a few numbers for as many experts: each invocation goes over the row of its
 * element as often as it has to.
 */

const over = (body: string): string => `for (var i = start; i < start + width; i = i + 1) { ${body} }`;

function rowsProgram(
  fields: Pick<Program, 'variableNames' | 'shaderKey' | 'uniforms'>,
  shape: number[],
  code: string,
  functions = '',
): Program {
  return {
    ...fields,
    ...flat(shape),
    getUserCode: () => `
      ${functions}
      fn main(index : i32) {
        if (index < uniforms.size) {
          let width = uniforms.outShape[1];
          let start = index / width * width;
          ${code}
        }
      }`,
  };
}

const floats = (...values: number[]): {type: 'float32'; data: number[]}[] =>
  values.map((value) => ({type: 'float32', data: [value]}));

/** WGSL from `logit`, an expression of i, to the softmax of its row. */
const softmaxCode = (logit: string): string => `
          var top = -3.4e38;
          ${over(`top = max(top, ${logit});`)}
          var sum = 0.0;
          ${over(`sum = sum + exp(${logit} - top);`)}
          let i = index;
          result[index] = exp(${logit} - top) / sum;`;

export function softmaxProgram(shape: number[]): Program {
  const fields = {variableNames: ['xIn'], shaderKey: 'peftSoftmax', uniforms: 'scale : f32,'};
  return rowsProgram(fields, shape, softmaxCode('uniforms.scale * xIn[i]'));
}

/** softmax(scale · x) of each row. */
function softmax(backend: KernelBackend, x: TensorInfo, scale: number): TensorInfo {
  return run(backend, softmaxProgram(x.shape), [x], floats(scale));
}

export function softmaxGradientProgram(shape: number[]): Program {
  const fields = {variableNames: ['dyIn', 'yIn'], shaderKey: 'peftSoftmaxGrad', uniforms: 'scale : f32,'};
  return rowsProgram(
    fields,
    shape,
    `
          var along = 0.0;
          ${over('along = fma(dyIn[i], yIn[i], along);')}
          result[index] = uniforms.scale * yIn[index] * (dyIn[index] - along);`,
  );
}

export const PeftGates = gatesBy(matMul, softmax);

/** The softmax's gradient, from its values y. */
export const PeftSoftmaxGrad: PeftKernel<'PeftSoftmaxGrad'> = ({
  inputs: {dy, y},
  attrs: {scale},
  backend,
}) => {
  return run(backend, softmaxGradientProgram(y.shape), [dy, y], floats(scale));
};

export function streamsProgram(shape: number[]): Program {
  const fields = {
    variableNames: ['aIn', 'bIn'],
    shaderKey: 'peftStreams',
    uniforms: 'weightA : f32, weightB : f32, floor : f32,',
  };
  return rowsProgram(
    fields,
    shape,
    `
          var sizeA = uniforms.floor;
          var sizeB = uniforms.floor;
          ${over('sizeA = max(sizeA, abs(aIn[i])); sizeB = max(sizeB, abs(bIn[i]));')}
          let byA = uniforms.weightA / sizeA;
          let byB = uniforms.weightB / sizeB;
          ${softmaxCode('(byA * aIn[i] + byB * bIn[i])')}`,
  );
}

export function keepProgram(shape: number[]): Program {
  const fields = {variableNames: ['pIn'], shaderKey: 'peftKeep', uniforms: 'theta : f32,'};
  return rowsProgram(
    fields,
    shape,
    `
          var top = pIn[start];
          ${over('top = max(top, pIn[i]);')}
          let least = uniforms.theta * top;
          var sum = 0.0;
          ${over('sum = sum + select(0.0, pIn[i], pIn[i] >= least);')}
          result[index] = select(0.0, pIn[index] / sum, pIn[index] >= least);`,
  );
}

/**
 * The probabilities of two streams, and what of each row has at least theta times the largest, scaled to sum
 * to 1.
 */
export const PeftStreamGates: PeftKernel<'PeftStreamGates'> = ({inputs: {a, b}, attrs, backend}) => {
  const {weightA, weightB, theta, floor} = attrs;
  const p = run(backend, streamsProgram(a.shape), [a, b], floats(weightA, weightB, floor));
  return theta === null ? [p] : [p, run(backend, keepProgram(p.shape), [p], floats(theta))];
};

export function streamGradientProgram(shape: number[], selected: boolean): Program {
  const fields = {
    variableNames: ['xIn', 'dpIn', 'pIn', ...(selected ? ['dGatesIn', 'gatesIn'] : [])],
    shaderKey: `peftStreamGrad_${selected}`,
    uniforms: 'weight : f32, floor : f32,',
  };
  const through = selected
    ? `
          var kept = 0.0;
          var alongGates = 0.0;
          ${over('kept = kept + select(0.0, pIn[i], gatesIn[i] > 0.0); alongGates = fma(dGatesIn[i], gatesIn[i], alongGates);')}`
    : '';
  const d = selected
    ? '(dpIn[i] + select(0.0, (dGatesIn[i] - alongGates) / kept, gatesIn[i] > 0.0))'
    : 'dpIn[i]';
  return rowsProgram(
    fields,
    shape,
    `${through}
          var mean = 0.0;
          ${over(`mean = fma(${d}, pIn[i], mean);`)}
          var size = uniforms.floor;
          var along = 0.0;
          ${over(`size = max(size, abs(xIn[i])); along = fma(pIn[i] * (${d} - mean), xIn[i], along);`)}
          let i = index;
          let atMaximum = select(0.0, sign(xIn[i]), abs(xIn[i]) == size);
          result[index] = uniforms.weight / size * (pIn[i] * (${d} - mean) - atMaximum * along / size);`,
  );
}

/** The gradient of one stream x, which the probabilities weigh by `weight`. */
function streamGradient(
  backend: KernelBackend,
  x: TensorInfo,
  {dp, p, dGates, gates}: StreamInputs,
  {weight, floor}: {weight: number; floor: number},
): TensorInfo {
  const program = streamGradientProgram(x.shape, gates !== undefined);
  const inputs = [x, dp, p, ...(gates === undefined ? [] : [dGates!, gates])];
  return run(backend, program, inputs, floats(weight, floor));
}

export const PeftStreamGatesGrad = streamGradientsBy(streamGradient);
