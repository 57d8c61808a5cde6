import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-registry.js';
import type {BlendAttrs} from '../../ops/blend.js';
import {blendInto, blendShape, blendGradient as gradientOf} from '../blend.js';
import {attach, type WasmKernels} from './attach.js';

/** Views of tensors, good until something is allocated. */
function floats(wasm: WasmKernels, tensor: TensorInfo): Float32Array {
  return wasm.floats(wasm.pointerTo(tensor), util.sizeFromShape(tensor.shape));
}

function allFloats(wasm: WasmKernels, inputs: Record<string, TensorInfo>): Record<string, Float32Array> {
  return Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, floats(wasm, tensor)]));
}

/** See `blendGates` in ops/blend.ts. It is a few thousand numbers, for which JavaScript does. */
export const blend: PeftKernel = ({inputs, attrs, backend}) => {
  const wasm = attach(backend);
  const blendAttrs = attrs as unknown as BlendAttrs;
  const out = wasm.output(blendShape(inputs, blendAttrs));
  blendInto(allFloats(wasm, inputs), blendAttrs, floats(wasm, out));
  return out;
};

export const blendGradient: PeftKernel = ({inputs, attrs, backend}) => {
  const wasm = attach(backend);
  const outputs = [wasm.output([1]), wasm.output([1])];
  const {share, gate} = gradientOf(allFloats(wasm, inputs), attrs as unknown as BlendAttrs);
  [share, gate].forEach((value, i) => {
    floats(wasm, outputs[i]!)[0] = value;
  });
  return outputs;
};
