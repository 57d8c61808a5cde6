import type {PeftKernel} from '../../kernel-map.js';
import type {Mix} from '../../types.js';
import {cpu} from './arrays.js';

/** mix(h, gates) as [rows, width]; see `Mix`. */
export function mixed(
  h: Float32Array,
  gates: Float32Array,
  rows: number,
  r1: number,
  g: number,
  mix: Mix,
): Float32Array {
  if (mix === 'none') return h;
  if (mix === 'expert') {
    const rank = r1 / g;
    const result = new Float32Array(h.length);
    for (let i = 0; i < h.length; i++) result[i] = h[i]! * gates[Math.floor(i / rank)]!;
    return result;
  }
  const r2 = g / r1;
  const result = new Float32Array(rows * r2);
  for (let n = 0; n < rows; n++) {
    for (let i = 0; i < r1; i++) {
      const value = h[n * r1 + i]!;
      for (let j = 0; j < r2; j++) result[n * r2 + j]! += value * gates[n * g + i * r2 + j]!;
    }
  }
  return result;
}

/** Gradients of h and gates from that of mix(h, gates). */
function mixGradient(
  dhm: Float32Array,
  h: Float32Array,
  gates: Float32Array,
  rows: number,
  r1: number,
  g: number,
  mix: Mix,
): {dh: Float32Array; dGates: Float32Array} {
  const dh = new Float32Array(h.length);
  const dGates = new Float32Array(gates.length);
  if (mix === 'expert') {
    const rank = r1 / g;
    for (let i = 0; i < h.length; i++) {
      const e = Math.floor(i / rank);
      dh[i] = dhm[i]! * gates[e]!;
      dGates[e]! += dhm[i]! * h[i]!;
    }
    return {dh, dGates};
  }
  const r2 = g / r1;
  for (let n = 0; n < rows; n++) {
    for (let i = 0; i < r1; i++) {
      let sum = 0;
      const value = h[n * r1 + i]!;
      for (let j = 0; j < r2; j++) {
        const at = n * g + i * r2 + j;
        const d = dhm[n * r2 + j]!;
        sum += d * gates[at]!;
        dGates[at] = d * value;
      }
      dh[n * r1 + i] = sum;
    }
  }
  return {dh, dGates};
}

export const PeftMix: PeftKernel<'PeftMix'> = ({inputs: {h, gates}, attrs: {mix}, backend}) => {
  const {read, write} = cpu(backend);
  const [rows, r1] = h.shape as [number, number];
  const g = gates.shape[1]!;
  return write([rows, mix === 'dense' ? g / r1 : r1], mixed(read(h), read(gates), rows, r1, g, mix));
};

export const PeftMixGrad: PeftKernel<'PeftMixGrad'> = ({inputs: {dhm, h, gates}, attrs: {mix}, backend}) => {
  const {read, write} = cpu(backend);
  const [rows, r1] = h.shape as [number, number];
  const {dh, dGates} = mixGradient(read(dhm), read(h), read(gates), rows, r1, gates.shape[1]!, mix);
  return [write(h.shape, dh), write(gates.shape, dGates)];
};
