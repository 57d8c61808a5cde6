import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {BlendGradAttrs} from '../../kernel-attrs.js';
import type {PeftKernel} from '../../kernel-map.js';
import {type BlendNamed, blendShape} from '../blend.js';
import {asRow, blockProgram, type Program, reshaped, run, samplerName} from './program.js';

const UNIFORMS = ['slope', 'tokenFactor', 'sampleFactor'] as const;

const SIGMOID = `
  float weightOf(float x) { return 1.0 / (1.0 + exp(clamp(-slope * x, -80.0, 80.0))); }`;

const WEIGHTS = `
        float share = weightOf(getShare(0, 0).r);
        float gate = weightOf(getGate(0, 0).r);`;

const variables = (inputs: BlendNamed): string[] => Object.keys(inputs).map(samplerName);

/** Runs a program on the inputs as matrices. */
function runBlend(
  backend: KernelBackend,
  program: Program,
  inputs: BlendNamed,
  {slope, tokenFactor, sampleFactor}: BlendGradAttrs,
): TensorInfo {
  const matrices = (Object.values(inputs) as TensorInfo[]).map(asRow);
  return run(backend, program, matrices, [[slope], [tokenFactor], [sampleFactor]]);
}

/** The blend of gates, by texels of two rows, which can be of two samples. */
export function blendProgram(inputs: BlendNamed, [rows, width]: [number, number], tokens: number): Program {
  const terms = [
    inputs.token && 'share * tokenFactor * getToken(row, column)',
    inputs.sample &&
      `(1.0 - share) * sampleFactor * vec4(sampleRow(row / ${tokens}, column), sampleRow((row + 1) / ${tokens}, column))`,
  ].filter((term) => term !== undefined);
  const sampleRow = `
      vec2 sampleRow(int row, int column) {
        vec4 texel = getSample(row, column);
        return imod(row, 2) == 0 ? texel.rg : texel.ba;
      }`;
  return blockProgram({
    variableNames: variables(inputs),
    outputShape: [rows, width],
    uniforms: UNIFORMS,
    functions: `${SIGMOID}
      ${inputs.sample === undefined ? '' : sampleRow}`,
    block: `${WEIGHTS}
        vec4 result = gate * (${terms.join(' + ')});`,
  });
}

export const PeftBlend: PeftKernel<'PeftBlend'> = ({inputs, attrs, backend}) => {
  const tokens = inputs.sample === undefined ? 1 : attrs.rows / inputs.sample.shape[0]!;
  const program = blendProgram(inputs, blendShape(inputs, attrs), tokens);
  return runBlend(backend, program, inputs, attrs);
};

const SLOPES = {
  share: 'share * (1.0 - share) * gate * (p - q)',
  gate: 'gate * (1.0 - gate) * (share * p + (1.0 - share) * q)',
};

/** The gradient of one of the two scalars, as [1, 1]. */
export function blendGradientProgram(inputs: BlendNamed, of: 'share' | 'gate', width: number): Program {
  const total = (name: string, sum: string): string =>
    `for (int k = 0; k < ${width}; k++) { vec4 texel = get${name}(0, k); ${sum} += imod(k, 2) == 0 ? texel.r : texel.g; }`;
  return {
    variableNames: variables(inputs),
    outputShape: [1, 1],
    packedInputs: true,
    packedOutput: true,
    customUniforms: UNIFORMS.map((name) => ({name, type: 'float'})),
    userCode: `
      ${SIGMOID}
      void main() {
        ${WEIGHTS}
        float p = 0.0;
        float q = 0.0;
        ${inputs.token === undefined ? '' : total('Token', 'p')}
        ${inputs.sample === undefined ? '' : total('Sample', 'q')}
        p *= tokenFactor;
        q *= sampleFactor;
        setOutput(vec4(slope * ${SLOPES[of]}, 0.0, 0.0, 0.0));
      }`,
  };
}

export const PeftBlendGrad: PeftKernel<'PeftBlendGrad'> = ({inputs, attrs, backend}) => {
  const width = (inputs.token ?? inputs.sample)!.shape[0]!;
  return (['share', 'gate'] as const).map((of) =>
    reshaped(runBlend(backend, blendGradientProgram(inputs, of, width), inputs, attrs), [1]),
  );
};
