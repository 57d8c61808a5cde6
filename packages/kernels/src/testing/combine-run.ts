import * as tf from '@tensorflow/tfjs-core';
import {combine} from '../ops/combine.js';
import type {CombineReferenceInputs} from '../reference/combine.js';
import type {Matrix} from '../reference/matrix.js';
import type {CombineInputs, Scale} from '../types.js';
import type {CombineCase} from './combine-cases.js';

const VECTORS = new Set(['bias', 'offset', 'pre', 'alpha', 'beta', 'post']);
const PER_ROW = new Set(['x', 'z', 'h', 'gates', 'preGates', 'alphaGates', 'betaGates', 'postGates']);

function toTensor(name: string, m: Matrix, leading: number[]): tf.Tensor {
  const shape = VECTORS.has(name)
    ? [m.columns]
    : PER_ROW.has(name)
      ? [...leading, m.columns]
      : [m.rows, m.columns];
  return tf.tensor(Float32Array.from(m.data), shape, 'float32');
}

/** The case's inputs as tensors, by the reference's names. */
export function caseTensors({inputs, leading}: CombineCase): Record<string, tf.Tensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, m]) => [name, toTensor(name, m as Matrix, leading)]),
  );
}

/** Calls the public op with tensors by the reference's names. */
export function runCombine(tensors: Record<string, tf.Tensor>, options: CombineCase['options']): tf.Tensor {
  const {x, kernel, bias, z, h, b, gates, offset} = tensors;
  const inputs: Record<string, unknown> = {x, kernel, bias, z, h, b, gates, offset, ...options};
  for (const name of ['pre', 'alpha', 'beta', 'post']) {
    const perRow = tensors[`${name}Gates`];
    const scale = perRow === undefined ? tensors[name] : {gates: perRow, table: tensors[`${name}Table`]};
    if (scale !== undefined) inputs[name] = scale as Scale;
  }
  return combine(inputs as CombineInputs);
}

export type {CombineReferenceInputs};
