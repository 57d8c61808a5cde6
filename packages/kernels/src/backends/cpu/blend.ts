import type {PeftKernel} from '../../kernel-map.js';
import {blendGradient, blendInto, blendShape} from '../blend.js';
import {arraysOf, cpu} from './arrays.js';

/** See `blendGates` in ops/blend.ts. */
export const PeftBlend: PeftKernel<'PeftBlend'> = ({inputs, attrs, backend}) => {
  const shape = blendShape(inputs, attrs);
  const out = new Float32Array(shape[0] * shape[1]);
  blendInto(arraysOf(inputs, backend), attrs, out);
  return cpu(backend).write(shape, out);
};

export const PeftBlendGrad: PeftKernel<'PeftBlendGrad'> = ({inputs, attrs, backend}) => {
  const {share, gate} = blendGradient(arraysOf(inputs, backend), attrs);
  return [share, gate].map((value) => cpu(backend).write([1], Float32Array.of(value)));
};
