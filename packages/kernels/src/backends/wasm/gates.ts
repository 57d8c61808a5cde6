import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import {attach} from './attach.js';
import {multiply} from './matmul.js';

const FLOAT = 4;

/** softmax(x R / temperature): see `softmaxGates` in ops/gates.ts. */
export const PeftGates: PeftKernel<'PeftGates'> = ({inputs: {x, kernel}, attrs, backend}) => {
  const wasm = attach(backend);
  const out = multiply({a: x, b: kernel, transposeA: false, transposeB: false}, backend);
  const [rows, width] = out.shape as [number, number];
  if (width > 0) wasm.exports.softmaxRows(wasm.pointerTo(out), rows, width, 1 / attrs.temperature);
  return out;
};

export const PeftSoftmaxGrad: PeftKernel<'PeftSoftmaxGrad'> = ({inputs: {dy, y}, attrs, backend}) => {
  const wasm = attach(backend);
  const out = wasm.output(y.shape);
  const [pDy, pY, pOut] = [dy, y, out].map((t) => wasm.pointerTo(t)) as [number, number, number];
  wasm.exports.softmaxGradient(pDy, pY, pOut, y.shape[0]!, y.shape[1]!, attrs.scale);
  return out;
};

/** See `streamGates` in ops/stream-gates.ts. */
export const PeftStreamGates: PeftKernel<'PeftStreamGates'> = ({inputs: {a, b}, attrs, backend}) => {
  const {weightA, weightB, theta, floor} = attrs;
  const wasm = attach(backend);
  const [rows, width] = a.shape as [number, number];
  const outputs = Array.from({length: theta === null ? 1 : 2}, () => wasm.output(a.shape));
  if (width === 0) return outputs;
  const [pA, pB, pP, pGates = 0] = [a, b, ...outputs].map((t) => wasm.pointerTo(t));
  wasm.exports.streamGates(pA!, pB!, pP!, pGates, rows, width, weightA, weightB, theta ?? 0, floor);
  return outputs;
};

export const PeftStreamGatesGrad: PeftKernel<'PeftStreamGatesGrad'> = ({inputs, attrs, backend}) => {
  const {dp, dGates, a, b, p, gates} = inputs;
  const {weightA, weightB, floor} = attrs;
  const wasm = attach(backend);
  const [rows, width] = a.shape as [number, number];
  const scratch = wasm.scratch(width * FLOAT);
  const outputs = [wasm.output(a.shape), wasm.output(a.shape)];
  const at = (tensor?: TensorInfo): number => (tensor === undefined ? 0 : wasm.pointerTo(tensor));
  const [da, db] = outputs.map(at) as [number, number];
  const {streamGatesGradient: gradient} = wasm.exports;
  // biome-ignore format: one line an operand group
  gradient(
    at(dp), at(dGates), at(a), at(b), at(p), at(gates), da, db,
    rows, width, weightA, weightB, floor, scratch,
  );
  return outputs;
};
