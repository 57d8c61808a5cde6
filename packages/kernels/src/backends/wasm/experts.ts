import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {DownAttrs, OuterAttrs, UpAttrs} from '../../kernel-attrs.js';
import type {PeftKernel} from '../../kernel-map.js';
import {type ExpertGroups, groupByExpert} from '../expert-groups.js';
import {attach, type WasmKernels} from './attach.js';

const FLOAT = 4;

/**
 * Sizes of a product per expert: an expert has `rank` of its own, and the other side of every product is
 * `width` wide.
 */
interface Sizes {
  experts: number;
  rank: number;
  width: number;
}

/** One expert's turn: its number, where its row numbers lie, and how many there are. */
interface Turn {
  e: number;
  list: number;
  count: number;
}

/**
 * The products of all experts over one set of gates, in a block of scratch memory that the caller provides.
 */
export class ExpertProducts {
  private readonly groups: ExpertGroups;
  private readonly gates: number;

  constructor(
    private readonly wasm: WasmKernels,
    gates: TensorInfo,
    private readonly sizes: Sizes,
  ) {
    this.gates = wasm.pointerTo(gates);
    this.groups = groupByExpert(wasm.floats(this.gates, gates.shape[0]! * sizes.experts), sizes.experts);
  }

  /** Bytes of scratch that any of the products needs. */
  get scratchBytes(): number {
    const {rank, width} = this.sizes;
    const {rows, largest} = this.groups;
    const {gemmScratch} = this.wasm.exports;
    const gemm = Math.max(
      gemmScratch(largest, rank, width, 0),
      gemmScratch(largest, width, rank, 0),
      gemmScratch(rank, width, largest, 1),
      gemmScratch(width, rank, largest, 1),
    );
    const parts = [rows.length, largest * width, largest * rank, Math.max(largest, rank) * width];
    return gemm + parts.reduce((sum, count) => sum + aligned(count * FLOAT), 0);
  }

  /**
   * h[n, e] += scale · x[n] W_e for the experts that row n chose; W is [width, R], or [R, width] with
   * `transposeW`.
   */
  down(x: number, w: number, h: number, {scale, transposeW}: DownAttrs, scratch: number): void {
    const {rank, width} = this.sizes;
    const {exports} = this.wasm;
    this.each(scratch, ({e, list, count}, wide, narrow, _result, gemm) => {
      exports.gatherRows(x, width * FLOAT, list, count, width, 0, 0, 1, wide);
      const block = w + e * rank * FLOAT * (transposeW ? width : 1);
      const ldb = transposeW ? width : this.all;
      exports.gemm(wide, block, narrow, 1, count, rank, width, 0, 0, ldb, 0, Number(transposeW), gemm);
      const to = h + e * rank * FLOAT;
      exports.scatterAddRows(narrow, list, count, rank, scale, to, this.all * FLOAT);
    });
  }

  /**
   * y[n] += the sum over the experts that row n chose of scale · p[n, e] W_e; W is [R, width], or [width, R]
   * with `transposeW`.
   */
  up(p: number, w: number, y: number, {scale, weigh, transposeW}: UpAttrs, scratch: number): void {
    const {rank, width} = this.sizes;
    const {exports} = this.wasm;
    this.each(scratch, (turn, wide, narrow, _result, gemm) => {
      const {e, list, count} = turn;
      this.gatherBlocks(p, turn, scale, weigh, narrow);
      const block = w + e * rank * FLOAT * (transposeW ? 1 : width);
      const ldb = transposeW ? this.all : width;
      exports.gemm(narrow, block, wide, 1, count, width, rank, 0, 0, ldb, 0, Number(transposeW), gemm);
      exports.scatterAddRows(wide, list, count, width, 1, y, width * FLOAT);
    });
  }

  /**
   * The block of every expert in out [R, width], or [width, R] with `transposed`: its rows' scale · p[n, e]ᵀ
   * q[n], summed.
   */
  outer(p: number, q: number, out: number, {scale, weigh, transposed}: OuterAttrs, scratch: number): void {
    const {rank, width, experts} = this.sizes;
    const {exports} = this.wasm;
    const {starts} = this.groups;
    for (let e = 0; e < experts; e++) {
      if (starts[e] !== starts[e + 1]) continue;
      // Without transposition only the idle experts' rows are cleared; with it, everything, once.
      const [from, count] = transposed ? [0, this.all] : [e * rank, rank];
      this.wasm.zero(out + from * width * FLOAT, count * width * FLOAT);
      if (transposed) break;
    }
    this.each(scratch, (turn, wide, narrow, result, gemm) => {
      const {e, list, count} = turn;
      this.gatherBlocks(p, turn, scale, weigh, narrow);
      exports.gatherRows(q, width * FLOAT, list, count, width, 0, 0, 1, wide);
      if (!transposed) {
        const to = out + e * rank * width * FLOAT;
        exports.gemm(narrow, wide, to, 1, rank, width, count, 0, 0, width, 1, 0, gemm);
        return;
      }
      exports.gemm(wide, narrow, result, 1, width, rank, count, 0, 0, rank, 1, 0, gemm);
      exports.spreadRows(result, width, rank, out + e * rank * FLOAT, this.all * FLOAT);
    });
  }

  /** R: the ranks of all experts. */
  private get all(): number {
    return this.sizes.experts * this.sizes.rank;
  }

  private gatherBlocks(p: number, {e, list, count}: Turn, scale: number, weigh: boolean, out: number): void {
    const {experts, rank} = this.sizes;
    const factors = weigh ? this.gates + e * FLOAT : 0;
    const block = p + e * rank * FLOAT;
    this.wasm.exports.gatherRows(
      block,
      this.all * FLOAT,
      list,
      count,
      rank,
      factors,
      experts * FLOAT,
      scale,
      out,
    );
  }

  /**
   * Calls `visit` for every expert that has rows, with room for [count, width], [count, rank], [width, rank]
   * and gemm's scratch.
   */
  private each(
    scratch: number,
    visit: (turn: Turn, wide: number, narrow: number, result: number, gemm: number) => void,
  ): void {
    const {rank, width, experts} = this.sizes;
    const {starts, rows, largest} = this.groups;
    this.wasm.write(scratch, rows);
    const wide = scratch + aligned(rows.length * FLOAT);
    const narrow = wide + aligned(largest * width * FLOAT);
    const result = narrow + aligned(largest * rank * FLOAT);
    const gemm = result + aligned(Math.max(largest, rank) * width * FLOAT);
    for (let e = 0; e < experts; e++) {
      const [start, end] = [starts[e]!, starts[e + 1]!];
      if (start === end) continue;
      visit({e, list: scratch + start * FLOAT, count: end - start}, wide, narrow, result, gemm);
    }
  }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

/** Gives `work` the products over `gates`, a zeroed output if it wants one, and scratch. */
function run(
  backend: KernelBackend,
  gates: TensorInfo,
  sizes: Omit<Sizes, 'experts'>,
  shape: [number, number],
  zeroed: boolean,
  work: (products: ExpertProducts, wasm: WasmKernels, out: number, scratch: number) => void,
): TensorInfo {
  const wasm = attach(backend);
  const products = new ExpertProducts(wasm, gates, {...sizes, experts: gates.shape[1]!});
  const scratch = wasm.scratch(products.scratchBytes);
  const out = wasm.output(shape);
  const pointer = wasm.pointerTo(out);
  if (zeroed) wasm.zero(pointer, shape[0] * shape[1] * FLOAT);
  work(products, wasm, pointer, scratch);
  return out;
}

/** The kernel of `expertDown` in ops/experts.ts. */
export const PeftExpertDown: PeftKernel<'PeftExpertDown'> = ({inputs: {x, w, gates}, attrs, backend}) => {
  const [rows, width] = x.shape as [number, number];
  const all = w.shape[attrs.transposeW ? 0 : 1]!;
  const rank = all / gates.shape[1]!;
  return run(backend, gates, {rank, width}, [rows, all], true, (products, wasm, out, scratch) =>
    products.down(wasm.pointerTo(x), wasm.pointerTo(w), out, attrs, scratch),
  );
};

/** The kernel of `expertUp` in ops/experts.ts. */
export const PeftExpertUp: PeftKernel<'PeftExpertUp'> = ({inputs: {p, w, gates}, attrs, backend}) => {
  const [rows, all] = p.shape as [number, number];
  const width = w.shape[attrs.transposeW ? 0 : 1]!;
  const rank = all / gates.shape[1]!;
  return run(backend, gates, {rank, width}, [rows, width], true, (products, wasm, out, scratch) =>
    products.up(wasm.pointerTo(p), wasm.pointerTo(w), out, attrs, scratch),
  );
};

/** The kernel of `expertOuter` in ops/experts.ts. */
export const PeftExpertOuter: PeftKernel<'PeftExpertOuter'> = ({inputs: {p, q, gates}, attrs, backend}) => {
  const all = p.shape[1]!;
  const width = q.shape[1]!;
  const rank = all / gates.shape[1]!;
  const shape: [number, number] = attrs.transposed ? [width, all] : [all, width];
  return run(backend, gates, {rank, width}, shape, false, (products, wasm, out, scratch) =>
    products.outer(wasm.pointerTo(p), wasm.pointerTo(q), out, attrs, scratch),
  );
};
