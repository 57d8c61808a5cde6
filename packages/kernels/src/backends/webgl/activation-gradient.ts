import type {PeftKernel} from '../../kernel-map.js';
import {slopeCode} from './activations.js';
import {blockProgram, run} from './program.js';

/** dy ∘ act', for [rows, columns]. */
export const PeftActivationGrad: PeftKernel<'PeftActivationGrad'> = ({inputs, attrs, backend}) => {
  const {dy, ref} = inputs;
  const {activation} = attrs;
  const program = blockProgram({
    variableNames: ['Dy', 'Ref'],
    outputShape: dy.shape as [number, number],
    functions: slopeCode(activation),
    block: 'vec4 result = getDy(row, column) * slope(getRef(row, column));',
  });
  return run(backend, program, [dy, ref]);
};
