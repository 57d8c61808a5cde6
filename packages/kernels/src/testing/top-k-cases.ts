import type * as tf from '@tensorflow/tfjs-core';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {topKGates} from '../ops/top-k.js';
import {matrix} from '../reference/matrix.js';
import {topKReference} from '../reference/top-k.js';
import {opDeviation} from './gradient-check.js';

/** Leading axes, entries a row, how many are kept, and whether entries are equal to others of their row. */
export const TOP_K_CASES: {
  leading: number[];
  width: number;
  k: number;
  renormalize: boolean;
  ties?: boolean;
}[] = [
  {leading: [5], width: 4, k: 2, renormalize: false},
  {leading: [2, 3], width: 7, k: 3, renormalize: true},
  {leading: [2, 1, 2], width: 8, k: 1, renormalize: false},
  {leading: [3], width: 1, k: 1, renormalize: true},
  {leading: [17], width: 13, k: 13, renormalize: true},
  {leading: [9], width: 6, k: 2, renormalize: false, ties: true},
  {leading: [9], width: 7, k: 4, renormalize: true, ties: true},
  {leading: [0], width: 4, k: 2, renormalize: true},
];

/** How far the gates and their gradient are from float64, on the active backend. */
export async function topKDeviation({
  leading,
  width,
  k,
  renormalize,
  ties,
}: (typeof TOP_K_CASES)[number]): Promise<number> {
  const random = randomNumbers(35);
  const rows = leading.reduce((a, b) => a * b, 1);
  const values = randomValues(random, rows * width, 0, 1).map((value) =>
    ties ? (1 + Math.floor(3 * value)) / 4 : value,
  );
  const p = matrix(rows, width, values);
  // Which are kept is a constant of the gradient, so that differences must not change it.
  const fixed = matrix(rows, width, values.slice());
  return opDeviation({
    inputs: {p},
    shapes: {p: [...leading, width]},
    random,
    reference: () => ({gates: topKReference(p, {k, renormalize}, fixed)}),
    op: (t) => ({gates: topKGates(t.p as tf.Tensor, k, renormalize)}),
  });
}
