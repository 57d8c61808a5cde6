import * as tf from '@tensorflow/tfjs-core';
import {deviation} from '@tfjs-peft/testing/compare';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {combine} from '../ops/combine.js';
import {project} from '../ops/project.js';
import type {Activation} from '../types.js';

/** A mixture of low-rank experts of which each row chose `topK`. */
export interface SparseCase {
  leading: number[];
  dIn: number;
  dOut: number;
  experts: number;
  rank: number;
  topK: number;
  activation?: Activation;
  /** Also a beta scale, as a vector. */
  beta?: boolean;
  /** Experts that no row chooses. */
  idle?: number[];
  /** All gates of a row are equal, so that the mask alone tells the experts apart. */
  tied?: boolean;
}

export const SPARSE_CASES: SparseCase[] = [
  {leading: [1], dIn: 1, dOut: 1, experts: 1, rank: 1, topK: 1},
  {leading: [5], dIn: 3, dOut: 17, experts: 4, rank: 1, topK: 2, activation: 'tanh'},
  {leading: [17], dIn: 130, dOut: 5, experts: 3, rank: 3, topK: 1, beta: true},
  {leading: [2, 9], dIn: 17, dOut: 33, experts: 5, rank: 4, topK: 2, idle: [0, 3], activation: 'gelu'},
  {leading: [3], dIn: 20, dOut: 16, experts: 9, rank: 2, topK: 3, idle: [8]},
  {leading: [2, 3, 5], dIn: 31, dOut: 40, experts: 6, rank: 17, topK: 2, tied: true},
  {leading: [130], dIn: 12, dOut: 19, experts: 7, rank: 8, topK: 2, beta: true, activation: 'relu'},
  {leading: [11], dIn: 7, dOut: 9, experts: 2, rank: 5, topK: 2, tied: true},
  {leading: [0], dIn: 4, dOut: 6, experts: 3, rank: 2, topK: 1},
];

/** The inputs of a case; `mask` has `topK` ones a row. */
export function sparseInputs(c: SparseCase): Record<string, tf.Tensor> {
  const random = randomNumbers(c.dIn * 7 + c.experts);
  const rows = c.leading.reduce((a, b) => a * b, 1);
  const make = (shape: number[], low = -1, high = 1): tf.Tensor =>
    tf.tensor(Float32Array.from(randomValues(random, tf.util.sizeFromShape(shape), low, high)), shape);
  const usable = Array.from({length: c.experts}, (_, e) => e).filter((e) => !c.idle?.includes(e));
  const mask = new Float32Array(rows * c.experts);
  for (let n = 0; n < rows; n++) {
    for (let i = 0; i < c.topK; i++) mask[n * c.experts + usable[(n * 3 + i) % usable.length]!] = 1;
  }
  const all = c.experts * c.rank;
  return {
    x: make([...c.leading, c.dIn]),
    kernel: make([c.dIn, c.dOut]),
    a: make([c.dIn, all]),
    b: make([all, c.dOut]),
    gates: c.tied ? tf.fill([...c.leading, c.experts], 0.25) : make([...c.leading, c.experts], 0.1, 1),
    mask: tf.tensor(mask, [...c.leading, c.experts]),
    ...(c.beta && {beta: make([c.dOut], 0.5, 1.5)}),
  };
}

/** The case's site, from project to combine, with the chosen experts alone or with all. */
export function runSparse(inputs: Record<string, tf.Tensor>, c: SparseCase, sparse: boolean): tf.Tensor {
  const {x, kernel, a, b, beta} = inputs as Record<string, tf.Tensor2D>;
  const gates = tf.mul(inputs.gates!, inputs.mask!);
  const hint = {topK: c.topK, sparse};
  const {h} = project({x: x!, a: a!, gates, ...hint});
  return combine({
    x,
    kernel,
    h,
    b,
    gates,
    mix: 'expert',
    scale: 1.7,
    activation: c.activation,
    beta: beta as unknown as tf.Tensor1D | undefined,
    ...hint,
  });
}

const WANTED = ['x', 'a', 'b', 'gates', 'kernel', 'beta'];

/** The gradient of a site's output, weighted unevenly, for every input that has one. */
export function sparseGradients(
  inputs: Record<string, tf.Tensor>,
  run: (given: typeof inputs) => tf.Tensor,
): tf.Tensor[] {
  const names = WANTED.filter((name) => inputs[name] !== undefined);
  const f = tf.grads((...list) => {
    const y = run({...inputs, ...Object.fromEntries(names.map((name, i) => [name, list[i]!]))});
    return tf.sum(tf.mul(y, tf.reshape(tf.cos(tf.range(0, y.size)), y.shape)));
  });
  return f(names.map((name) => inputs[name]!));
}

/**
 * How far outputs and gradients of the chosen experts alone are from those of all of them, on the active
 * backend.
 */
export function sparseDeviations(c: SparseCase): number[] {
  const values = (sparse: boolean): tf.Tensor[] => {
    const inputs = sparseInputs(c);
    return [runSparse(inputs, c, sparse), ...sparseGradients(inputs, (given) => runSparse(given, c, sparse))];
  };
  const result: number[] = [];
  tf.tidy(() => {
    const [got, want] = [values(true), values(false)];
    for (const [i, t] of got.entries()) {
      const same = tf.util.arraysEqual(t.shape, want[i]!.shape);
      result.push(same ? deviation(t.dataSync(), want[i]!.dataSync()) : Number.POSITIVE_INFINITY);
    }
  });
  return result;
}
