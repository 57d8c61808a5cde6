import type {TensorInfo} from '@tensorflow/tfjs-core';
import {util} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-registry.js';
import type {Activation} from '../../types.js';
import {attach} from './attach.js';
import {activationCode} from './combine.js';

/** dy ∘ act', from the activation's output or input: see `gradientFrom`. */
export const activationGradient: PeftKernel = ({inputs, attrs, backend}) => {
  const {dy, ref} = inputs as {dy: TensorInfo; ref: TensorInfo};
  const wasm = attach(backend);
  const out = wasm.output(dy.shape);
  const [pDy, pRef, pOut] = [dy, ref, out].map((t) => wasm.pointerTo(t)) as [number, number, number];
  const code = activationCode(attrs.activation as Activation);
  wasm.exports.activationGradient(pDy, pRef, pOut, util.sizeFromShape(dy.shape), code);
  return out;
};
