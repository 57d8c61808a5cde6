import type * as tf from '@tensorflow/tfjs-core';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {blendGates} from '../ops/blend.js';
import {blendReference} from '../reference/blend.js';
import {type Matrix, matrix} from '../reference/matrix.js';
import {opDeviation} from './gradient-check.js';

/**
 * Tokens, experts and samples, of which 0 stand for none; `token` says whether tokens have rows of their own.
 */
export const BLEND_CASES = [
  {rows: 5, experts: 7, samples: 0, token: true},
  {rows: 6, experts: 8, samples: 1, token: true},
  {rows: 6, experts: 5, samples: 2, token: true},
  {rows: 9, experts: 1, samples: 3, token: false},
  {rows: 3, experts: 4, samples: 3, token: true},
  {rows: 7, experts: 3, samples: 1, token: false},
  {rows: 0, experts: 4, samples: 1, token: true},
];

/** How far blended gates and the gradients of all inputs are from float64, on the active backend. */
export async function blendDeviation({
  rows,
  experts,
  samples,
  token,
}: (typeof BLEND_CASES)[number]): Promise<number> {
  const random = randomNumbers(34);
  const values = (n: number, m: number): Matrix => matrix(n, m, randomValues(random, n * m));
  const inputs = {
    ...(token && {token: values(rows, experts)}),
    ...(samples > 0 && {sample: values(samples, experts)}),
    share: values(1, 1),
    gate: values(1, 1),
  };
  const attrs = {rows, slope: 2, tokenFactor: 3, sampleFactor: 1.5};
  return opDeviation({
    inputs,
    shapes: {share: [1], gate: [1]},
    random,
    reference: () => ({gates: blendReference(inputs, attrs)}),
    op: (t) => ({gates: blendGates({...(t as Record<string, tf.Tensor2D>), ...attrs} as never)}),
  });
}
