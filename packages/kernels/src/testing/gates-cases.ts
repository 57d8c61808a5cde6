import type * as tf from '@tensorflow/tfjs-core';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {softmaxGates} from '../ops/gates.js';
import {streamGates} from '../ops/stream-gates.js';
import {softmaxGatesReference, streamGatesReference} from '../reference/gates.js';
import {matrix} from '../reference/matrix.js';
import {opDeviation} from './gradient-check.js';

/** Leading axes, width of x and experts: none, one, odd, multiples of the vectors' four, and beyond. */
export const GATES_CASES: {leading: number[]; width: number; experts: number; temperature: number}[] = [
  {leading: [5], width: 7, experts: 4, temperature: 1},
  {leading: [2, 3], width: 8, experts: 8, temperature: 0.5},
  {leading: [2, 1, 2], width: 5, experts: 3, temperature: 2},
  {leading: [3], width: 1, experts: 1, temperature: 1},
  {leading: [17], width: 6, experts: 13, temperature: 1},
  {leading: [0], width: 4, experts: 4, temperature: 1},
];

/** How far a linear router's gates and their gradients are from float64 on the active backend. */
export async function gatesDeviation({
  leading,
  width,
  experts,
  temperature,
}: (typeof GATES_CASES)[number]): Promise<number> {
  const random = randomNumbers(32);
  const rows = leading.reduce((a, b) => a * b, 1);
  const x = matrix(rows, width, randomValues(random, rows * width));
  const kernel = matrix(width, experts, randomValues(random, width * experts));
  return opDeviation({
    inputs: {x, kernel},
    shapes: {x: [...leading, width]},
    random,
    reference: () => ({gates: softmaxGatesReference(x, kernel, temperature)}),
    op: (t) => ({gates: softmaxGates(t.x!, t.kernel as tf.Tensor2D, temperature)}),
  });
}

/** Leading axes, experts, theta, and whether the second stream is still zero. */
export const STREAM_CASES: {leading: number[]; experts: number; theta: number | null; zero?: boolean}[] = [
  {leading: [5], experts: 4, theta: 0.7},
  {leading: [2, 3], experts: 7, theta: 0.5},
  {leading: [2, 1, 2], experts: 8, theta: 0},
  {leading: [6], experts: 5, theta: 1},
  {leading: [4], experts: 3, theta: null},
  {leading: [3], experts: 1, theta: 0.7},
  {leading: [5], experts: 4, theta: 0.7, zero: true},
  {leading: [0], experts: 4, theta: 0.7},
];

/**
 * How far LiME's probabilities and gates of two streams, and their gradients, are from float64 on the active
 * backend.
 */
export async function streamGatesDeviation({
  leading,
  experts,
  theta,
  zero,
}: (typeof STREAM_CASES)[number]): Promise<number> {
  const random = randomNumbers(33);
  const rows = leading.reduce((a, b) => a * b, 1);
  const stream = () => matrix(rows, experts, randomValues(random, rows * experts));
  const [a, b] = [stream(), stream()];
  // At the floor the gradient is steep, and no number: a stream that is still zero is divided by a floor at
  // which it can be compared.
  const floor = zero ? 0.5 : 1e-6;
  if (zero) b.data.fill(0);
  const options = {weights: [0.6, 1.4] as [number, number], theta, floor};
  const {gates} = streamGatesReference(a, b, options);
  // The selection counts as a constant, so that differences must not change it.
  const selected = (i: number, j: number) => gates.data[i * experts + j]! > 0;
  return opDeviation({
    inputs: {a, b},
    shapes: {a: [...leading, experts], b: [...leading, experts]},
    random,
    reference: () => streamGatesReference(a, b, options, selected),
    op: (t) => {
      const {probabilities, gates} = streamGates(t.a!, t.b!, options);
      return {p: probabilities, gates};
    },
  });
}
