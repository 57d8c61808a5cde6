import type {PeftKernel} from '../../kernel-map.js';
import {slopeCode} from './activations.js';
import {flat, type Program, run} from './program.js';

/** dy ∘ act', elementwise. */
export const PeftActivationGrad: PeftKernel<'PeftActivationGrad'> = ({inputs, attrs, backend}) => {
  const {dy, ref} = inputs;
  const {activation} = attrs;
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
};
