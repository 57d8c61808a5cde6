import type {TensorInfo} from '@tensorflow/tfjs-core';
import {util} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-registry.js';
import type {AdamAttrs} from '../../ops/adam.js';
import {attach} from './attach.js';

/** A step of Adam for one variable: see `AdamAttrs` in ops/adam.ts. */
export const adam: PeftKernel = ({inputs, attrs, backend}) => {
  const {value, m, v, gradient} = inputs as Record<string, TensorInfo>;
  const {learningRate, beta1, beta2, epsilon, correction1, correction2} = attrs as unknown as AdamAttrs;
  const wasm = attach(backend);
  const [newM, newV, newValue] = [m, v, value].map((t) => wasm.output(t!.shape)) as TensorInfo[];
  const at = (tensor?: TensorInfo): number => wasm.pointerTo(tensor!);
  const size = util.sizeFromShape(value!.shape);
  // biome-ignore format: one line an operand group
  wasm.exports.adam(
    at(value), at(m), at(v), at(gradient),
    at(newValue), at(newM), at(newV), size,
    beta1, 1 - beta1, beta2, 1 - beta2,
    learningRate / correction1, correction2, epsilon,
  );
  return [newM!, newV!, newValue!];
};
