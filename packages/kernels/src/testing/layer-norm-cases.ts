import type * as tf from '@tensorflow/tfjs-core';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {layerNorm} from '../ops/layer-norm.js';
import {layerNormReference} from '../reference/layer-norm.js';
import {matrix} from '../reference/matrix.js';
import {opDeviation} from './gradient-check.js';

interface LayerNormCase {
  shape: number[];
  gamma: boolean;
  beta: boolean;
}

/** Shapes of rank 2 to 4, of size 0 and 1, with widths on both sides of the vectors' four. */
export const LAYER_NORM_CASES: LayerNormCase[] = [
  {shape: [3, 8], gamma: true, beta: true},
  {shape: [5, 7], gamma: true, beta: true},
  {shape: [2, 3, 12], gamma: true, beta: false},
  {shape: [2, 1, 2, 5], gamma: false, beta: true},
  {shape: [4, 33], gamma: false, beta: false},
  {shape: [3, 1], gamma: true, beta: true},
  {shape: [1, 2], gamma: true, beta: true},
  {shape: [0, 4], gamma: true, beta: true},
];

const EPSILON = 1e-2;

/** How far layer normalization and its gradients are from float64 on the active backend. */
export async function layerNormDeviation({shape, gamma, beta}: LayerNormCase): Promise<number> {
  const random = randomNumbers(31);
  const columns = shape.at(-1)!;
  const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
  const x = matrix(rows, columns, randomValues(random, rows * columns));
  const vector = (low: number) => matrix(1, columns, randomValues(random, columns, low, 1.5));
  const inputs = {x, ...(gamma && {gamma: vector(0.5)}), ...(beta && {beta: vector(-1)})};
  const {gamma: g, beta: b} = inputs;
  return opDeviation({
    inputs,
    shapes: {x: shape, gamma: [columns], beta: [columns]},
    random,
    reference: () => ({
      y: layerNormReference(x, {epsilon: EPSILON, ...(g && {gamma: g.data}), ...(b && {beta: b.data})}),
    }),
    op: (t) => ({
      y: layerNorm(t.x!, t.gamma as tf.Tensor1D | undefined, t.beta as tf.Tensor1D | undefined, EPSILON),
    }),
  });
}
