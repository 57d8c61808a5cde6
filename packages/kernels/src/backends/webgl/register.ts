import type {TensorInfo} from '@tensorflow/tfjs-core';
import {
  ACTIVATION_GRAD,
  COMBINE,
  MATMUL,
  MIX,
  MIX_GRAD,
  type PeftKernel,
  PROJECT,
  registerPeftKernels,
} from '../../kernel-registry.js';
import type {CombineAttrs} from '../../ops/combine.js';
import type {MatMulAttrs} from '../../ops/matmul.js';
import type {Activation, Mix} from '../../types.js';
import {slopeCode} from './activations.js';
import {combine} from './combine.js';
import {matMul} from './matmul.js';
import {mix, mixGradient} from './mix.js';
import {clearBeyond, run} from './program.js';

const plain = {transposeA: false, transposeB: false};

const kernels: Record<string, PeftKernel> = {
  [MATMUL]: ({inputs, attrs, backend}) =>
    matMul(backend, inputs.a!, inputs.b!, attrs as unknown as MatMulAttrs),
  [PROJECT]: ({inputs, attrs, backend}) => {
    const {x, a, kernel} = inputs as {x: TensorInfo; a: TensorInfo; kernel?: TensorInfo};
    const h = matMul(backend, x, a, plain);
    if (kernel === undefined) return [h];
    return [h, matMul(backend, x, kernel, {...plain, columns: attrs.columns as number})];
  },
  [COMBINE]: ({inputs, attrs, backend}) => combine(backend, inputs, attrs as unknown as CombineAttrs),
  [MIX]: ({inputs, attrs, backend}) => mix(backend, inputs.h!, inputs.gates!, attrs.mix as Mix),
  [MIX_GRAD]: ({inputs, attrs, backend}) =>
    mixGradient(backend, inputs as never, attrs.mix as 'expert' | 'dense'),
  [ACTIVATION_GRAD]: ({inputs, attrs, backend}) => {
    const [rows, columns] = inputs.dy!.shape as [number, number];
    const program = {
      variableNames: ['Dy', 'Ref'],
      outputShape: [rows, columns],
      packedInputs: true,
      packedOutput: true,
      userCode: `
        ${slopeCode(attrs.activation as Activation)}
        void main() {
          ivec2 at = getOutputCoords();
          int row = at.x;
          int column = at.y;
          vec4 result = getDy(row, column) * slope(getRef(row, column));
          ${clearBeyond(rows, columns)}
          setOutput(result);
        }`,
    };
    return run(backend, program, [inputs.dy!, inputs.ref!]);
  },
};

/** Registers the kernels of tfjs's `webgl` backend; done by importing `@tfjs-peft/kernels/webgl`. Calling it again is harmless. */
export function register(): void {
  registerPeftKernels('webgl', kernels);
}
