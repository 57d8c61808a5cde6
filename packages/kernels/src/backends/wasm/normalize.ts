import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import {attach} from './attach.js';

const FLOAT = 4;

/** Layer normalization: see `layerNorm` in ops/layer-norm.ts. */
export const PeftLayerNorm: PeftKernel<'PeftLayerNorm'> = ({inputs, attrs, backend}) => {
  const {x, gamma, beta} = inputs;
  const wasm = attach(backend);
  const [rows, width] = x.shape as [number, number];
  const out = wasm.output(x.shape);
  const at = (tensor?: TensorInfo): number => (tensor === undefined ? 0 : wasm.pointerTo(tensor));
  wasm.exports.layerNorm(at(x), at(gamma), at(beta), at(out), rows, width, attrs.epsilon);
  return out;
};

/** The gradient of its x. */
export const PeftLayerNormGrad: PeftKernel<'PeftLayerNormGrad'> = ({inputs, attrs, backend}) => {
  const {dy, x, gamma} = inputs;
  const wasm = attach(backend);
  const [rows, width] = x.shape as [number, number];
  const scratch = wasm.scratch(width * FLOAT);
  const out = wasm.output(x.shape);
  const at = (tensor?: TensorInfo): number => (tensor === undefined ? 0 : wasm.pointerTo(tensor));
  const epsilon = attrs.epsilon;
  wasm.exports.layerNormGradient(at(dy), at(x), at(gamma), at(out), rows, width, epsilon, scratch);
  return out;
};
