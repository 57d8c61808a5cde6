import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {BlendGradAttrs} from '../../kernel-attrs.js';
import type {PeftKernel} from '../../kernel-map.js';
import {type BlendNamed, blendShape} from '../blend.js';
import {flat, type Program, run} from './program.js';

const SIGMOID = `
  fn weightOf(x : f32) -> f32 { return 1.0 / (1.0 + exp(clamp(-uniforms.slope * x, -80.0, 80.0))); }`;

const variables = (inputs: BlendNamed): string[] => Object.keys(inputs).map((name) => `${name}In`);

/** One element of the blend of gates an invocation. */
export function blendProgram(inputs: BlendNamed, shape: [number, number]): Program {
  const terms = [
    inputs.token && 'share * uniforms.tokenFactor * tokenIn[index]',
    inputs.sample &&
      '(1.0 - share) * uniforms.sampleFactor * sampleIn[index / width / uniforms.tokens * width + index % width]',
  ].filter((term) => term !== undefined);
  return {
    variableNames: variables(inputs),
    ...flat(shape),
    shaderKey: `peftBlend_${Object.keys(inputs)}`,
    uniforms: 'slope : f32, tokenFactor : f32, sampleFactor : f32, tokens : i32,',
    getUserCode: () => `
      ${SIGMOID}
      fn main(index : i32) {
        if (index < uniforms.size) {
          let width = uniforms.outShape[1];
          let share = weightOf(shareIn[0]);
          result[index] = weightOf(gateIn[0]) * (${terms.join(' + ')});
        }
      }`,
  };
}

const floats = ({slope, tokenFactor, sampleFactor}: BlendGradAttrs) =>
  [slope, tokenFactor, sampleFactor].map((value) => ({type: 'float32' as const, data: [value]}));

export const PeftBlend: PeftKernel<'PeftBlend'> = ({inputs, attrs, backend}) => {
  const tokens = inputs.sample === undefined ? 1 : attrs.rows / inputs.sample.shape[0]!;
  const program = blendProgram(inputs, blendShape(inputs, attrs));
  return run(backend, program, Object.values(inputs) as TensorInfo[], [
    ...floats(attrs),
    {type: 'int32', data: [tokens]},
  ]);
};

const SLOPES = {
  share: 'share * (1.0 - share) * gate * (p - q)',
  gate: 'gate * (1.0 - gate) * (share * p + (1.0 - share) * q)',
};

/** The gradient of one of the two scalars, by one invocation. */
export function blendGradientProgram(inputs: BlendNamed, of: 'share' | 'gate'): Program {
  const total = (name: 'token' | 'sample', sum: string): string =>
    inputs[name] === undefined
      ? ''
      : `for (var i = 0; i < uniforms.width; i = i + 1) { ${sum} = ${sum} + uniforms.${name}Factor * ${name}In[i]; }`;
  return {
    variableNames: variables(inputs),
    ...flat([1]),
    shaderKey: `peftBlendGradient_${of}_${Object.keys(inputs)}`,
    uniforms: 'slope : f32, tokenFactor : f32, sampleFactor : f32, width : i32,',
    getUserCode: () => `
      ${SIGMOID}
      fn main(index : i32) {
        if (index < uniforms.size) {
          let share = weightOf(shareIn[0]);
          let gate = weightOf(gateIn[0]);
          var p = 0.0;
          var q = 0.0;
          ${total('token', 'p')}
          ${total('sample', 'q')}
          result[index] = uniforms.slope * ${SLOPES[of]};
        }
      }`,
  };
}

export const PeftBlendGrad: PeftKernel<'PeftBlendGrad'> = ({inputs, attrs, backend}) => {
  const width = (inputs.token ?? inputs.sample)!.shape[0]!;
  return (['share', 'gate'] as const).map((of) =>
    run(backend, blendGradientProgram(inputs, of), Object.values(inputs) as TensorInfo[], [
      ...floats(attrs),
      {type: 'int32', data: [width]},
    ]),
  );
};
