import type * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from '../errors.js';
import {hasKernel} from './kernels.js';

/** Sizes that decide between a dense product and one per expert; see {@link sparsePays}. */
export interface SparseSizes {
  /** Rows of the batch, all leading axes together. */
  rows: number;
  /** The side that all experts share: dIn of the down projection, dOut of the up projection. */
  width: number;
  experts: number;
  /** Rank of one expert. */
  rank: number;
  /** Experts that each row chose. */
  topK: number;
}

/** A hint that each row chose few experts, and how to use it. */
export interface SparseHint {
  /** At most so many gates of a row are not zero. Default: any number. */
  topK?: number;
  /**
   * Compute only chosen experts (true) or all (false), whatever it costs. Default: by cost, see
   * {@link sparsePays}.
   */
  sparse?: boolean;
}

/** Cost of gathering a row and adding one back, per float, in multiply-adds. */
const MOVE = 6;
/**
 * Cost of packing a weight for one expert, per float, in multiply-adds; the dense product packs longer runs.
 */
const PACK = 2;
/**
 * The sparse product is chosen if it costs less than this share of the dense one, because it makes
 * intermediate values.
 */
const SHARE = 0.8;

/**
 * Whether a product per chosen expert takes less time than one dense product over all experts, counted in
 * multiply-adds.
 *
 * The dense one takes rows · E · r · width. Of the sparse one, each row takes topK · width · (r + 6): r
 * multiply-adds, on tiles of 8 or 16 columns, and the time of moving the row there and back; and each expert
 * that was chosen at all takes 2 · r · width to pack its weight. Measured on the wasm backend, where the two
 * break even at 8 experts of rank 4 with 2 chosen; at 64 of rank 16 the sparse product takes less than a
 * fifth.
 *
 * @example
 * ```ts
 * import {sparsePays} from '@tfjs-peft/kernels';
 *
 * const pays = sparsePays({rows: 256, width: 512, experts: 64, rank: 16, topK: 2}); // true
 * ```
 */
export function sparsePays({rows, width, experts, rank, topK}: SparseSizes): boolean {
  const padded = rank <= 8 ? 8 : Math.ceil(rank / 16) * 16;
  const touched = Math.min(experts, rows * topK);
  const sparse = rows * topK * width * (padded + MOVE) + touched * width * padded * PACK;
  return sparse < SHARE * rows * experts * rank * width;
}

/** Checks the hint, and decides; never sparse on a backend without kernels for it. */
export function choosesSparse(
  op: string,
  {topK, sparse}: SparseHint,
  {rows, width, all, gates}: {rows: number; width: number; all: number; gates: tf.Tensor},
): boolean {
  if (topK === undefined) {
    if (sparse)
      throw new ConfigError(`${op}: sparse needs topK, the most experts that a row chose. Pass topK.`);
    return false;
  }
  const experts = gates.shape[gates.rank - 1]!;
  if (!Number.isInteger(topK) || topK < 1 || topK > experts) {
    throw new ConfigError(
      `${op}: topK is ${topK}, but must be an integer from 1 to ${experts}, the number of gates.`,
    );
  }
  if (all % experts !== 0) {
    throw new ShapeError(
      `${op}: the experts' ranks lie side by side in ${all} columns, which is no multiple of the ` +
        `${experts} gates of ` +
        `[${gates.shape}].`,
    );
  }
  if (!hasKernel('PeftExpertDown')) return false;
  return sparse ?? sparsePays({rows, width, experts, rank: all / experts, topK});
}
