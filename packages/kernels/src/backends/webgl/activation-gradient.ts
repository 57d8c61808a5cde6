import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {Activation} from '../../types.js';
import {slopeCode} from './activations.js';
import {clearBeyond, run} from './program.js';

/** dy ∘ act', for [rows, columns]. */
export function activationGradient(
  backend: KernelBackend,
  dy: TensorInfo,
  ref: TensorInfo,
  activation: Activation,
): TensorInfo {
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
}
