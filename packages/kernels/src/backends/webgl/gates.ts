import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import {gatesBy, type StreamInputs, streamGradientsBy} from '../gpu-kernels.js';
import {matMul} from './matmul.js';
import {blockProgram, type Program, run} from './program.js';

/*
 * Rows of gates are short, a few numbers for as many experts: each texel, of two rows and two columns, goes
 * over its two rows as often as it has to. `pair` is one column's entries of the two.
 */

const over = (width: number, body: string): string => `for (int k = 0; k < ${width}; k++) { ${body} }`;
const at = (name: string): string => `pair(get${name}(row, k), k)`;

function rowsProgram(
  variableNames: string[],
  uniforms: string[],
  outputShape: [number, number],
  block: string,
): Program {
  return blockProgram({
    variableNames,
    outputShape,
    uniforms,
    functions: 'vec2 pair(vec4 texel, int k) { return imod(k, 2) == 0 ? texel.rb : texel.ga; }',
    block,
  });
}

type Size = [number, number];

/** GLSL from a logit of one column of both rows, and the same of the texel, to the softmax of the rows. */
const softmaxCode = (width: number, logit: string, logits: string): string => `
        vec2 top = vec2(-3.4e38);
        ${over(width, `top = max(top, ${logit});`)}
        vec2 sum = vec2(0.0);
        ${over(width, `sum += exp(${logit} - top);`)}
        vec4 result = exp(${logits} - top.xxyy) / sum.xxyy;`;

export function softmaxProgram(size: Size): Program {
  const code = softmaxCode(size[1], `scale * ${at('X')}`, 'scale * getX(row, column)');
  return rowsProgram(['X'], ['scale'], size, code);
}

/** softmax(scale · x) of each row. */
function softmax(backend: KernelBackend, x: TensorInfo, scale: number): TensorInfo {
  return run(backend, softmaxProgram(x.shape as Size), [x], [[scale]]);
}

export function softmaxGradientProgram(size: Size): Program {
  return rowsProgram(
    ['Dy', 'Y'],
    ['scale'],
    size,
    `
        vec2 along = vec2(0.0);
        ${over(size[1], `along += ${at('Dy')} * ${at('Y')};`)}
        vec4 result = scale * getY(row, column) * (getDy(row, column) - along.xxyy);`,
  );
}

export const PeftGates = gatesBy(matMul, softmax);

/** The softmax's gradient, from its values y. */
export const PeftSoftmaxGrad: PeftKernel<'PeftSoftmaxGrad'> = ({
  inputs: {dy, y},
  attrs: {scale},
  backend,
}) => {
  return run(backend, softmaxGradientProgram(y.shape as Size), [dy, y], [[scale]]);
};

export function streamsProgram(size: Size): Program {
  return rowsProgram(
    ['A', 'B'],
    ['weightA', 'weightB', 'least'],
    size,
    `
        vec2 sizeA = vec2(least);
        vec2 sizeB = vec2(least);
        ${over(size[1], `sizeA = max(sizeA, abs(${at('A')})); sizeB = max(sizeB, abs(${at('B')}));`)}
        vec2 byA = weightA / sizeA;
        vec2 byB = weightB / sizeB;
        ${softmaxCode(
          size[1],
          `(byA * ${at('A')} + byB * ${at('B')})`,
          '(byA.xxyy * getA(row, column) + byB.xxyy * getB(row, column))',
        )}`,
  );
}

export function keepProgram(size: Size): Program {
  return rowsProgram(
    ['P'],
    ['theta'],
    size,
    `
        vec2 top = vec2(-3.4e38);
        ${over(size[1], `top = max(top, ${at('P')});`)}
        vec2 least = theta * top;
        vec2 sum = vec2(0.0);
        ${over(size[1], `sum += ${at('P')} * step(least, ${at('P')});`)}
        vec4 p = getP(row, column);
        vec4 result = p * step(least.xxyy, p) / sum.xxyy;`,
  );
}

/**
 * The probabilities of two streams, and what of each row has at least theta times the largest, scaled to sum
 * to 1.
 */
export const PeftStreamGates: PeftKernel<'PeftStreamGates'> = ({inputs: {a, b}, attrs, backend}) => {
  const {weightA, weightB, theta, floor} = attrs;
  const p = run(backend, streamsProgram(a.shape as Size), [a, b], [[weightA], [weightB], [floor]]);
  return theta === null ? [p] : [p, run(backend, keepProgram(p.shape as Size), [p], [[theta]])];
};

export function streamGradientProgram(size: Size, selected: boolean): Program {
  const through = selected
    ? `
        vec2 kept = vec2(0.0);
        vec2 alongGates = vec2(0.0);
        ${over(size[1], `vec2 g = ${at('Gates')}; kept += ${at('P')} * vec2(greaterThan(g, vec2(0.0))); alongGates += ${at('DGates')} * g;`)}`
    : '';
  /** The gradient of the probabilities: of one column of both rows, and of the texel. */
  const d = selected
    ? `(${at('Dp')} + (${at('DGates')} - alongGates) / kept * vec2(greaterThan(${at('Gates')}, vec2(0.0))))`
    : at('Dp');
  const ds = selected
    ? 'getDp(row, column) + (getDGates(row, column) - alongGates.xxyy) / kept.xxyy * vec4(greaterThan(getGates(row, column), vec4(0.0)))'
    : 'getDp(row, column)';
  return rowsProgram(
    ['X', 'Dp', 'P', ...(selected ? ['DGates', 'Gates'] : [])],
    ['weight', 'least'],
    size,
    `${through}
        vec2 mean = vec2(0.0);
        ${over(size[1], `mean += ${d} * ${at('P')};`)}
        vec2 size = vec2(least);
        vec2 along = vec2(0.0);
        ${over(size[1], `size = max(size, abs(${at('X')})); along += ${at('P')} * (${d} - mean) * ${at('X')};`)}
        vec4 x = getX(row, column);
        vec4 atMaximum = sign(x) * vec4(equal(abs(x), size.xxyy));
        vec4 dz = getP(row, column) * (${ds} - mean.xxyy);
        vec4 result = weight / size.xxyy * (dz - atMaximum * (along / size).xxyy);`,
  );
}

/** The gradient of one stream x, which the probabilities weigh by `weight`. */
function streamGradient(
  backend: KernelBackend,
  x: TensorInfo,
  {dp, p, dGates, gates}: StreamInputs,
  {weight, floor}: {weight: number; floor: number},
): TensorInfo {
  const program = streamGradientProgram(x.shape as Size, gates !== undefined);
  const inputs = [x, dp, p, ...(gates === undefined ? [] : [dGates!, gates])];
  return run(backend, program, inputs, [[weight], [floor]]);
}

export const PeftStreamGatesGrad = streamGradientsBy(streamGradient);
