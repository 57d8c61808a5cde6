import * as tf from '@tensorflow/tfjs-core';
import {deviation} from '@tfjs-peft/testing/compare';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {combine} from '../ops/combine.js';
import {combineReference} from '../reference/combine.js';
import type {Matrix} from '../reference/matrix.js';
import {type CombineInputs, SCALES, type Scale} from '../types.js';
import type {CombineCase} from './combine-cases.js';

const VECTORS = new Set<string>(['bias', 'offset', ...SCALES]);
const PER_ROW = new Set(['x', 'z', 'h', 'gates', 'preGates', 'alphaGates', 'betaGates', 'postGates']);

function toTensor(name: string, m: Matrix, {leading, options}: CombineCase): tf.Tensor {
  const heads = options.heads?.[name.replace(/Gates$/, '') as keyof typeof options.heads];
  const last = heads !== undefined && name.endsWith('Gates') ? [heads, m.columns / heads] : [m.columns];
  const shape = VECTORS.has(name)
    ? [m.columns]
    : PER_ROW.has(name)
      ? [...leading, ...last]
      : [m.rows, m.columns];
  return tf.tensor(Float32Array.from(m.data), shape, 'float32');
}

/** The case's inputs as tensors, by the reference's names. */
export function caseTensors(c: CombineCase): Record<string, tf.Tensor> {
  return Object.fromEntries(
    Object.entries(c.inputs).map(([name, m]) => [name, toTensor(name, m as Matrix, c)]),
  );
}

/** Calls the public op with tensors by the reference's names. */
export function runCombine(tensors: Record<string, tf.Tensor>, options: CombineCase['options']): tf.Tensor {
  const {x, kernel, bias, z, h, b, gates, offset} = tensors;
  const {heads, ...rest} = options;
  const inputs: Record<string, unknown> = {x, kernel, bias, z, h, b, gates, offset, ...rest};
  for (const name of SCALES) {
    const perRow = tensors[`${name}Gates`];
    const scale =
      perRow === undefined
        ? tensors[name]
        : {gates: perRow, table: tensors[`${name}Table`], heads: heads?.[name]};
    if (scale !== undefined) inputs[name] = scale as Scale;
  }
  return combine(inputs as CombineInputs);
}

/**
 * How far the op's values are from the float64 reference, on the active backend; infinite if the shape is
 * wrong.
 */
export async function forwardDeviation(c: CombineCase): Promise<number> {
  const want = combineReference(c.inputs, c.options);
  const got = tf.tidy(() => runCombine(caseTensors(c), c.options));
  const values = await got.data();
  got.dispose();
  const shape = [...c.leading, want.columns];
  return tf.util.arraysEqual(got.shape, shape) ? deviation(values, want.data) : Number.POSITIVE_INFINITY;
}

const STEP = 1e-5;
const FULL = 20;
const SAMPLES = 8;

/** Positions to differentiate at: all of a small input, some of a large one. */
function positions(count: number, random: () => number): number[] {
  if (count <= FULL) return Array.from({length: count}, (_, i) => i);
  return Array.from({length: SAMPLES}, () => Math.floor(random() * count));
}

/**
 * How far each input's gradient is from central differences of the float64 reference, on the active backend.
 */
export async function gradientDeviations(c: CombineCase): Promise<Record<string, number>> {
  const random = randomNumbers(7);
  const size = combineReference(c.inputs, c.options).data.length;
  const cotangent = randomValues(random, size);
  const loss = (): number =>
    combineReference(c.inputs, c.options).data.reduce((sum, y, i) => sum + y * cotangent[i]!, 0);
  const tensors = caseTensors(c);
  const names = Object.keys(tensors);
  const gradients = tf.tidy(() => {
    const dy = tf.tensor(Float32Array.from(cotangent));
    const f = tf.grads((...list: tf.Tensor[]) => {
      const y = runCombine(Object.fromEntries(names.map((name, i) => [name, list[i]!])), c.options);
      return tf.sum(tf.mul(tf.reshape(y, [-1]), dy));
    });
    return f(names.map((name) => tensors[name]!));
  });
  const deviations: Record<string, number> = {};
  for (const [i, name] of names.entries()) {
    const values = (c.inputs[name as keyof typeof c.inputs] as Matrix).data;
    const got = await gradients[i]!.data();
    const where = positions(values.length, random);
    const want = where.map((at) => {
      const value = values[at]!;
      values[at] = value + STEP;
      const above = loss();
      values[at] = value - STEP;
      const below = loss();
      values[at] = value;
      return (above - below) / (2 * STEP);
    });
    deviations[name] = deviation(
      where.map((at) => got[at]!),
      want,
    );
  }
  tf.dispose([tensors, gradients]);
  return deviations;
}
