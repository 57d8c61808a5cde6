import type {PeftKernel} from '../../kernel-map.js';
import {slopeCode} from './activations.js';
import {clearBeyond, run} from './program.js';

/** dy ∘ act', for [rows, columns]. */
export const PeftActivationGrad: PeftKernel<'PeftActivationGrad'> = ({inputs, attrs, backend}) => {
  const {dy, ref} = inputs;
  const {activation} = attrs;
  const [rows, columns] = dy.shape as [number, number];
  const program = {
    variableNames: ['Dy', 'Ref'],
    outputShape: [rows, columns],
    packedInputs: true,
    packedOutput: true,
    userCode: `
      ${slopeCode(activation)}
      void main() {
        ivec2 at = getOutputCoords();
        int row = at.x;
        int column = at.y;
        vec4 result = getDy(row, column) * slope(getRef(row, column));
        ${clearBeyond(rows, columns)}
        setOutput(result);
      }`,
  };
  return run(backend, program, [dy, ref]);
};
