import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import {attach} from './attach.js';

/** A step of Adam for one variable: see `AdamAttrs` in ops/adam.ts. */
export const PeftAdam: PeftKernel<'PeftAdam'> = ({inputs: {value, m, v, gradient}, attrs, backend}) => {
  const {learningRate, beta1, beta2, epsilon, correction1, correction2} = attrs;
  const wasm = attach(backend);
  const [newM, newV, newValue] = [m, v, value].map((t) => wasm.output(t.shape)) as [
    TensorInfo,
    TensorInfo,
    TensorInfo,
  ];
  const at = (tensor: TensorInfo): number => wasm.pointerTo(tensor);
  const size = util.sizeFromShape(value.shape);
  // biome-ignore format: one line an operand group
  wasm.exports.adam(
    at(value), at(m), at(v), at(gradient),
    at(newValue), at(newM), at(newV), size,
    beta1, 1 - beta1, beta2, 1 - beta2,
    learningRate / correction1, correction2, epsilon,
  );
  return [newM, newV, newValue];
};
