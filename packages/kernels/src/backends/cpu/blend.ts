import type {PeftKernel} from '../../kernel-registry.js';
import type {BlendAttrs} from '../../ops/blend.js';
import {blendInto, blendShape, blendGradient as gradientOf} from '../blend.js';
import {arraysOf, cpu} from './arrays.js';

/** See `blendGates` in ops/blend.ts. */
export const blend: PeftKernel = ({inputs, attrs, backend}) => {
  const blendAttrs = attrs as unknown as BlendAttrs;
  const shape = blendShape(inputs, blendAttrs);
  const out = new Float32Array(shape[0] * shape[1]);
  blendInto(arraysOf(inputs, backend), blendAttrs, out);
  return cpu(backend).write(shape, out);
};

export const blendGradient: PeftKernel = ({inputs, attrs, backend}) => {
  const {share, gate} = gradientOf(arraysOf(inputs, backend), attrs as unknown as BlendAttrs);
  return [share, gate].map((value) => cpu(backend).write([1], Float32Array.of(value)));
};
