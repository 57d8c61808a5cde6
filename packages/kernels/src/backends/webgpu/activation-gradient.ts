import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {Activation} from '../../types.js';
import {slopeCode} from './activations.js';
import {flat, type Program, run} from './program.js';

/** dy ∘ act', elementwise. */
export function activationGradient(
  backend: KernelBackend,
  dy: TensorInfo,
  ref: TensorInfo,
  activation: Activation,
): TensorInfo {
  const program: Program = {
    variableNames: ['dyIn', 'refIn'],
    ...flat(dy.shape),
    shaderKey: `peftActivationGrad_${activation}`,
    getUserCode: () => `
      ${slopeCode(activation)}
      fn main(index : i32) {
        if (index < uniforms.size) { result[index] = dyIn[index] * slope(refIn[index]); }
      }`,
  };
  return run(backend, program, [dy, ref]);
}
