import * as tf from '@tensorflow/tfjs-core';
import {deviation} from '@tfjs-peft/testing/compare';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {columnSum} from '../ops/matmul.js';

/** Rows and columns: none, one, odd, and more rows than lanes. */
const SIZES = [
  [1, 1],
  [3, 5],
  [17, 33],
  [130, 64],
  [0, 4],
  [4, 0],
] as const;

/**
 * How far the column sums of a matrix, and of an elementwise product, are from those in float64, on the
 * active backend.
 */
export async function columnSumDeviation(): Promise<number> {
  const random = randomNumbers(11);
  let worst = 0;
  for (const [rows, columns] of SIZES) {
    const [a, b] = [0, 1].map(() => randomValues(random, rows * columns)) as [Float64Array, Float64Array];
    const tensors = [a, b].map((values) => tf.tensor2d(Float32Array.from(values), [rows, columns]));
    for (const by of [undefined, tensors[1]!]) {
      const want = new Float64Array(columns);
      a.forEach((value, i) => {
        want[i % columns]! += value * (by === undefined ? 1 : b[i]!);
      });
      const got = columnSum(tensors[0]!, by);
      worst = Math.max(worst, deviation(await got.data(), want));
      if (!tf.util.arraysEqual(got.shape, [columns])) worst = Number.POSITIVE_INFINITY;
      got.dispose();
    }
    tf.dispose(tensors);
  }
  return worst;
}
