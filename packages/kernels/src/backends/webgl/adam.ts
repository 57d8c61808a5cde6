import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {AdamAttrs} from '../../kernel-attrs.js';
import {ADAM_INPUTS, type AdamPart, adamBy, adamUniforms} from '../gpu-kernels.js';
import {type Program, run, samplerName} from './program.js';

const CODE: Record<AdamPart, string> = {
  m: 'keep * getMAtOutCoords() + take * getGradientAtOutCoords()',
  v: 'keep * getVAtOutCoords() + take * getGradientAtOutCoords() * getGradientAtOutCoords()',
  value:
    'getValueAtOutCoords() - rate * getMAtOutCoords() / (sqrt(getVAtOutCoords() / correction2) + epsilon)',
};

/**
 * The packed program that writes one part of Adam's step. What it leaves in cells beyond the output's edge is
 * zero, as its inputs are.
 */
export function adamProgram(part: AdamPart, shape: number[], uniforms: string[]): Program {
  return {
    variableNames: ADAM_INPUTS[part].map(samplerName),
    outputShape: shape,
    packedInputs: true,
    packedOutput: true,
    customUniforms: uniforms.map((name) => ({name, type: 'float'})),
    userCode: `
      void main() {
        setOutput(${CODE[part]});
      }`,
  };
}

/** One part of Adam's step, from the inputs that {@link ADAM_INPUTS} names. */
function adam(backend: KernelBackend, part: AdamPart, inputs: TensorInfo[], attrs: AdamAttrs): TensorInfo {
  const uniforms = adamUniforms(part, attrs);
  const program = adamProgram(part, inputs[0]!.shape, Object.keys(uniforms));
  return run(
    backend,
    program,
    inputs,
    Object.values(uniforms).map((value) => [value]),
  );
}

export const PeftAdam = adamBy(adam);
