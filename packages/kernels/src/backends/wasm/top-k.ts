import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import {topKGradientInto, topKInto} from '../cpu/top-k.js';
import {attach, type WasmKernels} from './attach.js';

/** A view of a tensor, good until something is allocated. */
function floats(wasm: WasmKernels, tensor: TensorInfo): Float32Array {
  return wasm.floats(wasm.pointerTo(tensor), util.sizeFromShape(tensor.shape));
}

/**
 * See `topKGates` in ops/top-k.ts. It compares a few numbers per row, for which JavaScript is fast enough.
 */
export const PeftTopK: PeftKernel<'PeftTopK'> = ({inputs: {p}, attrs, backend}) => {
  const wasm = attach(backend);
  const out = wasm.output(p.shape);
  const gates = floats(wasm, out).fill(0);
  topKInto(floats(wasm, p), p.shape[1]!, attrs, gates);
  return out;
};

export const PeftTopKGrad: PeftKernel<'PeftTopKGrad'> = ({inputs: {dy, p}, attrs, backend}) => {
  const wasm = attach(backend);
  const out = wasm.output(p.shape);
  const gradient = floats(wasm, out).fill(0);
  topKGradientInto({dy: floats(wasm, dy), p: floats(wasm, p)}, p.shape[1]!, attrs, gradient);
  return out;
};
