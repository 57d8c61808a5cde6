import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import type {PackedAttrs} from '../../kernel-attrs.js';
import type {PeftKernel} from '../../kernel-map.js';
import {type GivenParts, PACKED_VALUES, type PackedPart} from '../../packed/layout.js';
import {checkRows} from '../packed-rows.js';
import {attach, type WasmKernels} from './attach.js';

/** Room for the Packed struct of assembly/packed.ts. */
const STRUCT_BYTES = 64;

type Parts = GivenParts<TensorInfo>;

/** The words of that struct, in its order. */
function structWords(wasm: WasmKernels, parts: Parts, attrs: PackedAttrs): number[] {
  const at = (part: PackedPart): number => (parts[part] === undefined ? 0 : wasm.pointerTo(parts[part]));
  const {shape, bits, wordBits, values, group, unitColumns, zero, halfScale, halfOffset} = attrs;
  return [
    ...[...shape, bits, wordBits, PACKED_VALUES.indexOf(values), group, unitColumns, zero ?? 0],
    ...[at('codes'), at('scale'), Number(halfScale), at('zeros'), at('offset'), Number(halfOffset)],
    at('codebook'),
  ];
}

/** x W + bias for a packed W: see `packedMatMul` in ops/packed.ts. */
export const PeftPackedMatMul: PeftKernel<'PeftPackedMatMul'> = ({inputs, attrs, backend}) => {
  const {x, bias, ...parts} = inputs;
  const wasm = attach(backend);
  const m = x.shape[0]!;
  const [k, n] = attrs.transposeW ? [attrs.shape[1], attrs.shape[0]] : attrs.shape;
  const out = wasm.output([m, n]);
  if (m * n === 0) return out;
  const struct = wasm.scratch(STRUCT_BYTES + wasm.exports.packedScratch(k));
  wasm.write(struct, structWords(wasm, parts, attrs));
  wasm.exports.packedProduct(
    struct,
    wasm.pointerTo(x),
    m,
    Number(attrs.transposeW),
    bias === undefined ? 0 : wasm.pointerTo(bias),
    wasm.pointerTo(out),
    struct + STRUCT_BYTES,
  );
  return out;
};

/** Rows of a packed W: see `unpackRows` in ops/packed.ts. */
export const PeftUnpackRows: PeftKernel<'PeftUnpackRows'> = ({inputs, attrs, backend}) => {
  const {indices, ...parts} = inputs;
  const wasm = attach(backend);
  const [rows, columns] = attrs.shape;
  if (indices !== undefined) checkRows(wasm.backend.typedArrayFromHeap(indices), rows);
  const count = indices === undefined ? rows : util.sizeFromShape(indices.shape);
  const out = wasm.output([count, columns]);
  const struct = wasm.scratch(STRUCT_BYTES + wasm.exports.packedScratch(0));
  wasm.write(struct, structWords(wasm, parts, attrs));
  const list = indices === undefined ? 0 : wasm.pointerTo(indices);
  wasm.exports.unpackRows(struct, list, count, wasm.pointerTo(out), struct + STRUCT_BYTES);
  return out;
};
