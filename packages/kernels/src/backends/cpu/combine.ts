import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {CombineAttrs} from '../../kernel-attrs.js';
import type {KernelInputs, PeftKernel} from '../../kernel-map.js';
import type {ScaleName} from '../../types.js';
import {activateInPlace} from './activations.js';
import {cpu} from './arrays.js';
import {type Matrix, upArrays} from './experts.js';
import {gemm, multiply} from './gemm.js';
import {mixed} from './mix.js';

type Named = KernelInputs<'PeftCombine'>;
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
  heads: CombineAttrs['heads'],
): void {
  const vector = inputs[name];
  const gates = inputs[`${name}Gates`];
  if (gates !== undefined) {
    const scale = scaleByRow(gates, inputs[`${name}Table`]!, heads?.[name] ?? 1, read);
    for (let i = 0; i < scale.length; i++) into[i] = values[i]! * scale[i]!;
  } else if (vector !== undefined) {
    const scale = read(vector);
    for (let n = 0; n < rows; n++)
      for (let j = 0; j < width; j++) into[n * width + j] = values[n * width + j]! * scale[j]!;
  }
}

/** gates · table [rows, width]; each head has its own gates, [rows, heads · E]. */
function scaleByRow(gates: TensorInfo, table: TensorInfo, heads: number, read: Read): Float32Array {
  const [rows, all] = gates.shape as [number, number];
  const [experts, width] = table.shape as [number, number];
  if (heads === 1) return multiply(read(gates), read(table), {m: rows, n: width, k: experts});
  const [g, t] = [read(gates), read(table)];
  const columns = width / heads;
  const scale = new Float32Array(rows * width);
  for (let n = 0; n < rows; n++) {
    for (let j = 0; j < width; j++) {
      const from = n * all + Math.floor(j / columns) * experts;
      let sum = 0;
      for (let e = 0; e < experts; e++) sum += g[from + e]! * t[e * width + j]!;
      scale[n * width + j] = sum;
    }
  }
  return scale;
}

function has(inputs: Named, name: ScaleName): boolean {
  return inputs[name] !== undefined || inputs[`${name}Gates`] !== undefined;
}

function addRow(values: Float32Array, row: Float32Array): void {
  for (let i = 0; i < values.length; ) for (let j = 0; j < row.length; j++) values[i++]! += row[j]!;
}

function baseProduct(
  inputs: Named,
  rows: number,
  dOut: number,
  read: Read,
  heads: CombineAttrs['heads'],
): Float32Array {
  if (inputs.z !== undefined) return read(inputs.z).slice();
  const dIn = inputs.x!.shape[1]!;
  let x = read(inputs.x!);
  if (has(inputs, 'pre')) {
    const scaled = new Float32Array(x.length);
    applyScale(x, scaled, rows, dIn, inputs, 'pre', read, heads);
    x = scaled;
  }
  const z = multiply(x, read(inputs.kernel!), {m: rows, n: dOut, k: dIn});
  if (inputs.bias !== undefined) addRow(z, read(inputs.bias));
  return z;
}

/** See `combine` in ops/combine.ts; returns y and, if asked for, z and u. */
export const PeftCombine: PeftKernel<'PeftCombine'> = ({inputs, attrs, backend}) => {
  const {scale, mix, activation, saveZ, saveU, sparse, heads} = attrs;
  const {read, write} = cpu(backend);
  const {h, b, gates, offset} = inputs;
  const rows = (inputs.z ?? inputs.x!).shape[0]!;
  const dOut = (inputs.z ?? inputs.kernel!).shape[1]!;
  const y = baseProduct(inputs, rows, dOut, read, heads);
  const z = saveZ ? y.slice() : undefined;
  applyScale(y, y, rows, dOut, inputs, 'alpha', read, heads);
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
      applyScale(tail, tail, rows, dOut, inputs, 'beta', read, heads);
      for (let i = 0; i < tail.length; i++) y[i]! += tail[i]!;
    }
  }
  if (offset !== undefined) addRow(y, read(offset));
  const u = saveU ? y.slice() : undefined;
  activateInPlace(y, activation);
  applyScale(y, y, rows, dOut, inputs, 'post', read, heads);
  return [y, z, u].filter((values) => values !== undefined).map((values) => write([rows, dOut], values));
};
