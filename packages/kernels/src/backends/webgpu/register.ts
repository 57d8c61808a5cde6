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
import {flat, type Program, run} from './program.js';

function activationGradientProgram(shape: number[], activation: Activation): Program {
  return {
    variableNames: ['dyIn', 'refIn'],
    ...flat(shape),
    shaderKey: `peftActivationGrad_${activation}`,
    getUserCode: () => `
      ${slopeCode(activation)}
      fn main(index : i32) {
        if (index < uniforms.size) { result[index] = dyIn[index] * slope(refIn[index]); }
      }`,
  };
}

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
    const program = activationGradientProgram(inputs.dy!.shape, attrs.activation as Activation);
    return run(backend, program, [inputs.dy!, inputs.ref!]);
  },
};

/** Registers the kernels of tfjs's `webgpu` backend; done by importing `@tfjs-peft/kernels/webgpu`. Calling it again is harmless. */
export function register(): void {
  registerPeftKernels('webgpu', kernels);
}
