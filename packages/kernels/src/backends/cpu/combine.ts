import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {CombineAttrs, ScaleName} from '../../ops/combine.js';
import {activateInPlace} from './activations.js';
import {type Matrix, upArrays} from './experts.js';
import {gemm, multiply} from './gemm.js';
import {mixed} from './mix.js';

type Named = Record<string, TensorInfo | undefined>;
type Read = (tensor: TensorInfo) => Float32Array;

/** Multiplies `values` [rows, width] by a scale: in place if `into` is the same array. */
function applyScale(
  values: Float32Array,
  into: Float32Array,
  rows: number,
  width: number,
  inputs: Named,
  name: ScaleName,
  read: Read,
): void {
  const vector = inputs[name];
  const gates = inputs[`${name}Gates`];
  if (gates !== undefined) {
    const scale = multiply(read(gates), read(inputs[`${name}Table`]!), {
      m: rows,
      n: width,
      k: gates.shape[1]!,
    });
    for (let i = 0; i < scale.length; i++) into[i] = values[i]! * scale[i]!;
  } else if (vector !== undefined) {
    const scale = read(vector);
    for (let n = 0; n < rows; n++)
      for (let j = 0; j < width; j++) into[n * width + j] = values[n * width + j]! * scale[j]!;
  }
}

function has(inputs: Named, name: ScaleName): boolean {
  return inputs[name] !== undefined || inputs[`${name}Gates`] !== undefined;
}

function addRow(values: Float32Array, row: Float32Array): void {
  for (let i = 0; i < values.length; ) for (let j = 0; j < row.length; j++) values[i++]! += row[j]!;
}

function baseProduct(inputs: Named, rows: number, dOut: number, read: Read): Float32Array {
  if (inputs.z !== undefined) return read(inputs.z).slice();
  const dIn = inputs.x!.shape[1]!;
  let x = read(inputs.x!);
  if (has(inputs, 'pre')) {
    const scaled = new Float32Array(x.length);
    applyScale(x, scaled, rows, dIn, inputs, 'pre', read);
    x = scaled;
  }
  const z = multiply(x, read(inputs.kernel!), {m: rows, n: dOut, k: dIn});
  if (inputs.bias !== undefined) addRow(z, read(inputs.bias));
  return z;
}

/** The combine kernel on typed arrays; returns y and, if asked for, z and u. */
export function combineArrays(
  inputs: Named,
  {scale, mix, activation, saveZ, saveU, sparse}: CombineAttrs,
  read: Read,
): {y: Float32Array; z?: Float32Array; u?: Float32Array; rows: number; dOut: number} {
  const {h, b, gates, offset} = inputs;
  const rows = (inputs.z ?? inputs.x!).shape[0]!;
  const dOut = (inputs.z ?? inputs.kernel!).shape[1]!;
  const y = baseProduct(inputs, rows, dOut, read);
  const z = saveZ ? y.slice() : undefined;
  applyScale(y, y, rows, dOut, inputs, 'alpha', read);
  if (h !== undefined && b !== undefined) {
    const beta = has(inputs, 'beta');
    const tail = beta ? new Float32Array(y.length) : y;
    if (sparse) {
      const [p, w, g] = [h, b, gates!].map((t) => ({values: read(t), columns: t.shape[1]!})) as [
        Matrix,
        Matrix,
        Matrix,
      ];
      upArrays(p, w, g, {scale, weigh: true, transposeW: false}, {values: tail, columns: dOut});
    } else {
      const r1 = h.shape[1]!;
      const by = gates ?? h;
      const factor = mixed(read(h), read(by), rows, r1, by.shape[1]!, mix);
      const left = scale === 1 ? factor : factor.map((value) => value * scale);
      gemm(left, read(b), tail, rows, dOut, b.shape[0]!);
    }
    if (beta) {
      applyScale(tail, tail, rows, dOut, inputs, 'beta', read);
      for (let i = 0; i < tail.length; i++) y[i]! += tail[i]!;
    }
  }
  if (offset !== undefined) addRow(y, read(offset));
  const u = saveU ? y.slice() : undefined;
  activateInPlace(y, activation);
  applyScale(y, y, rows, dOut, inputs, 'post', read);
  return {y, z, u, rows, dOut};
}
