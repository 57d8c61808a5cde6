import {BLEND_CASES, blendDeviation} from './blend-cases.js';
import {columnSumDeviation} from './column-sum-cases.js';
import {GATES_CASES, gatesDeviation, STREAM_CASES, streamGatesDeviation} from './gates-cases.js';
import {LAYER_NORM_CASES, layerNormDeviation} from './layer-norm-cases.js';
import {TOP_K_CASES, topKDeviation} from './top-k-cases.js';

const ROWS: Record<string, () => Promise<number>[]> = {
  columnSum: () => [columnSumDeviation()],
  softmaxGates: () => GATES_CASES.map(gatesDeviation),
  streamGates: () => STREAM_CASES.map(streamGatesDeviation),
  blendGates: () => BLEND_CASES.map(blendDeviation),
  topKGates: () => TOP_K_CASES.map(topKDeviation),
  layerNorm: () => LAYER_NORM_CASES.map(layerNormDeviation),
};

/** The ops around the products, a row of the conformance table each. */
export const SMALL_OPS = Object.keys(ROWS);

/** How far each case of an op is from float64 at most, forward and backward, on the active backend. */
export async function smallOpDeviation(op: string): Promise<number[]> {
  return Promise.all(ROWS[op]!());
}
