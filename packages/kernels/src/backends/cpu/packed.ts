import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {PackedAttrs} from '../../kernel-attrs.js';
import type {PeftKernel} from '../../kernel-map.js';
import {fromHalves} from '../../packed/halves.js';
import {type GivenParts, HALF_BITS, readCodes} from '../../packed/layout.js';
import {checkRows} from '../packed-rows.js';
import {cpu} from './arrays.js';
import {gemm, transposed} from './gemm.js';

/** Rows that are unpacked at a time. */
const AT_ONCE = 64;

type Parts = GivenParts<TensorInfo>;

/** Reads rows of a packed matrix, and what their unit has in common once for each. */
class Rows {
  private unit = -1;
  private scale: Float32Array | undefined;
  private offset: Float32Array | undefined;
  private zeros: Int32Array | Uint16Array | undefined;
  private readonly read: ReturnType<typeof cpu>;
  private readonly codes: Int32Array;
  private readonly codebook: Float32Array | undefined;

  constructor(
    private readonly parts: Parts,
    private readonly attrs: PackedAttrs,
    backend: KernelBackend,
  ) {
    this.read = cpu(backend);
    this.codes = this.read.words(parts.codes!);
    this.codebook = parts.codebook && this.read.read(parts.codebook);
  }

  /** The codes of one row, of which a part of `columns` columns has that many in a word. */
  private codesOf(words: Int32Array, row: number, bits: number, columns: number): Uint16Array {
    const codes = new Uint16Array(columns);
    readCodes(words, row, columns, {bits, wordBits: this.attrs.wordBits}, codes, 0);
    return codes;
  }

  private floatsOf(part: TensorInfo | undefined, half: boolean, unit: number): Float32Array | undefined {
    if (part === undefined) return undefined;
    const {unitColumns} = this.attrs;
    if (half) return fromHalves(this.codesOf(this.read.words(part), unit, HALF_BITS, unitColumns), 'f16');
    return this.read.read(part).subarray(unit * unitColumns, (unit + 1) * unitColumns);
  }

  private toUnit(unit: number): void {
    if (unit === this.unit) return;
    this.unit = unit;
    const {parts, attrs} = this;
    this.scale = this.floatsOf(parts.scale, attrs.halfScale, unit);
    this.offset = this.floatsOf(parts.offset, attrs.halfOffset, unit);
    this.zeros =
      parts.zeros && this.codesOf(this.read.words(parts.zeros), unit, attrs.bits, attrs.unitColumns);
  }

  /** Writes a row of numbers. */
  write(row: number, out: Float32Array, at: number): void {
    const {bits, values, group, unitColumns, zero = 0} = this.attrs;
    const columns = this.attrs.shape[1];
    this.toUnit(Math.floor(row / group));
    const {scale, offset, zeros, codebook} = this;
    const codes = this.codesOf(this.codes, row, bits, columns);
    const halves = values === 'f16' || values === 'bf16' ? fromHalves(codes, values) : undefined;
    for (let column = 0; column < columns; column++) {
      const unit = unitColumns === 1 ? 0 : column;
      const code = codes[column]!;
      let value = halves?.[column] ?? codebook?.[code] ?? code - (zeros?.[unit] ?? zero);
      if (scale !== undefined) value *= scale[unit]!;
      if (offset !== undefined) value += offset[unit]!;
      out[at + column] = value;
    }
  }
}

/** x W + bias for a packed W, some rows of which are plain at a time: see `packedMatMul` in ops/packed.ts. */
export const PeftPackedMatMul: PeftKernel<'PeftPackedMatMul'> = ({inputs, attrs, backend}) => {
  const {x, bias, ...parts} = inputs;
  const {read, write} = cpu(backend);
  const m = x.shape[0]!;
  const [rows, columns] = attrs.shape;
  const n = attrs.transposeW ? rows : columns;
  const unpack = new Rows(parts, attrs, backend);
  const out = new Float32Array(m * n);
  const by = bias && read(bias);
  if (by !== undefined) for (let i = 0; i < m; i++) out.set(by, i * n);
  const values = read(x);
  for (let from = 0; from < rows; from += AT_ONCE) {
    const count = Math.min(AT_ONCE, rows - from);
    const w = new Float32Array(count * columns);
    for (let i = 0; i < count; i++) unpack.write(from + i, w, i * columns);
    if (attrs.transposeW) {
      const part = new Float32Array(m * count);
      gemm(values, transposed(w, count, columns), part, m, count, columns);
      for (let i = 0; i < m; i++)
        for (let j = 0; j < count; j++) out[i * n + from + j]! += part[i * count + j]!;
    } else {
      const part = new Float32Array(m * count);
      for (let i = 0; i < m; i++)
        part.set(values.subarray(i * rows + from, i * rows + from + count), i * count);
      gemm(part, w, out, m, n, count);
    }
  }
  return write([m, n], out);
};

/** Rows of a packed W: see `unpackRows` in ops/packed.ts. */
export const PeftUnpackRows: PeftKernel<'PeftUnpackRows'> = ({inputs, attrs, backend}) => {
  const {indices, ...parts} = inputs;
  const {words, write} = cpu(backend);
  const [rows, columns] = attrs.shape;
  const picked = indices && words(indices);
  if (picked !== undefined) checkRows(picked, rows);
  const count = picked?.length ?? rows;
  const unpack = new Rows(parts, attrs, backend);
  const out = new Float32Array(count * columns);
  for (let i = 0; i < count; i++) unpack.write(picked?.[i] ?? i, out, i * columns);
  return write([count, columns], out);
};
