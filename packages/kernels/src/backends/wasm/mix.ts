import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import type {Mix} from '../../types.js';
import {attach, type WasmKernels} from './attach.js';

function sizes(h: TensorInfo, gates: TensorInfo): {rows: number; width: number; count: number} {
  return {rows: h.shape[0]!, width: h.shape[1]!, count: gates.shape[1]!};
}

/** mix(h, gates) to a pointer; mix is not 'none'. */
export function mixInto(wasm: WasmKernels, h: TensorInfo, gates: TensorInfo, mix: Mix, out: number): void {
  const {rows, width, count} = sizes(h, gates);
  const [from, by] = [wasm.pointerTo(h), wasm.pointerTo(gates)];
  if (mix === 'expert') wasm.exports.mixExperts(from, by, out, rows, count, width / count);
  else wasm.exports.mixDense(from, by, out, rows, width, count / width);
}

/** mix(h, gates). */
export const PeftMix: PeftKernel<'PeftMix'> = ({inputs: {h, gates}, attrs, backend}) => {
  const wasm = attach(backend);
  const {rows, width, count} = sizes(h, gates);
  const out = wasm.output([rows, attrs.mix === 'dense' ? count / width : width]);
  mixInto(wasm, h, gates, attrs.mix, wasm.pointerTo(out));
  return out;
};

/** The gradients of mix(h, gates) for h and for gates. */
export const PeftMixGrad: PeftKernel<'PeftMixGrad'> = ({inputs: {dhm, h, gates}, attrs, backend}) => {
  const wasm = attach(backend);
  const {rows, width, count} = sizes(h, gates);
  const [dh, dGates] = [wasm.output(h.shape), wasm.output(gates.shape)];
  const [pDhm, pH, pGates, pDh, pDGates] = [dhm, h, gates, dh, dGates].map((t) => wasm.pointerTo(t)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const {mixDenseGradient, mixExperts, mixExpertsGates} = wasm.exports;
  if (attrs.mix === 'dense') {
    mixDenseGradient(pDhm, pH, pGates, pDh, pDGates, rows, width, count / width);
  } else {
    mixExperts(pDhm, pGates, pDh, rows, count, width / count);
    mixExpertsGates(pDhm, pH, pDGates, rows, count, width / count);
  }
  return [dh, dGates];
};
