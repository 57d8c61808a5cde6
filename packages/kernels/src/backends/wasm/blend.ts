import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import type {KernelInputs, PeftKernel} from '../../kernel-map.js';
import {blendGradient, blendInto, blendShape} from '../blend.js';
import {attach, type WasmKernels} from './attach.js';

/** Views of tensors, good until something is allocated. */
function floats(wasm: WasmKernels, tensor: TensorInfo): Float32Array {
  return wasm.floats(wasm.pointerTo(tensor), util.sizeFromShape(tensor.shape));
}

function allFloats(
  wasm: WasmKernels,
  {token, sample, share, gate}: KernelInputs<'PeftBlend'>,
): KernelInputs<'PeftBlend', Float32Array> {
  return {
    token: token && floats(wasm, token),
    sample: sample && floats(wasm, sample),
    share: floats(wasm, share),
    gate: floats(wasm, gate),
  };
}

/**
 * See `blendGates` in ops/blend.ts. It handles a few thousand numbers, for which JavaScript is fast enough.
 */
export const PeftBlend: PeftKernel<'PeftBlend'> = ({inputs, attrs, backend}) => {
  const wasm = attach(backend);
  const out = wasm.output(blendShape(inputs, attrs));
  blendInto(allFloats(wasm, inputs), attrs, floats(wasm, out));
  return out;
};

export const PeftBlendGrad: PeftKernel<'PeftBlendGrad'> = ({inputs, attrs, backend}) => {
  const wasm = attach(backend);
  const outputs = [wasm.output([1]), wasm.output([1])];
  const {share, gate} = blendGradient(allFloats(wasm, inputs), attrs);
  [share, gate].forEach((value, i) => {
    floats(wasm, outputs[i]!)[0] = value;
  });
  return outputs;
};
