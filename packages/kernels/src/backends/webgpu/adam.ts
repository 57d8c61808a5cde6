import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {AdamAttrs} from '../../kernel-attrs.js';
import {ADAM_INPUTS, type AdamPart, adamBy, adamUniforms} from '../gpu-kernels.js';
import {flat, type Program, run} from './program.js';

const CODE: Record<AdamPart, string> = {
  m: 'uniforms.keep * mIn[index] + uniforms.take * gradientIn[index]',
  v: 'uniforms.keep * vIn[index] + uniforms.take * gradientIn[index] * gradientIn[index]',
  value:
    'valueIn[index] - uniforms.rate * mIn[index] / (sqrt(vIn[index] / uniforms.correction2) + uniforms.epsilon)',
};

/** The program that writes one part of Adam's step. */
export function adamProgram(part: AdamPart, shape: number[], uniforms: string[]): Program {
  return {
    variableNames: ADAM_INPUTS[part].map((name) => `${name}In`),
    ...flat(shape),
    shaderKey: `peftAdam_${part}`,
    uniforms: uniforms.map((name) => `${name} : f32,`).join(' '),
    getUserCode: () => `
      fn main(index : i32) {
        if (index < uniforms.size) { result[index] = ${CODE[part]}; }
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
    Object.values(uniforms).map((value) => ({type: 'float32', data: [value]})),
  );
}

export const PeftAdam = adamBy(adam);
