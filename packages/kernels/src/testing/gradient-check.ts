import * as tf from '@tensorflow/tfjs-core';
import {deviation} from '@tfjs-peft/testing/compare';
import {randomValues} from '@tfjs-peft/testing/numbers';
import {numericGradient} from '../reference/gradient.js';
import type {Matrix} from '../reference/matrix.js';

/** Outputs of one op by name; the same names from the reference and from tfjs. */
type Outputs<T> = Record<string, T>;

export interface Check {
  inputs: Record<string, Matrix>;
  /** Shapes that the inputs have as tensors, where not [rows, columns]. */
  shapes?: Record<string, number[]>;
  reference(): Outputs<Matrix>;
  op(tensors: Record<string, tf.Tensor>): Outputs<tf.Tensor>;
  random(): number;
}

/**
 * The largest deviation of an op's outputs, and of the gradients of all its inputs, from float64: the
 * reference's values, and their central differences.
 */
export async function opDeviation({inputs, shapes, reference, op, random}: Check): Promise<number> {
  const names = Object.keys(inputs);
  const tensors = Object.fromEntries(
    names.map((name) => {
      const {rows, columns, data} = inputs[name]!;
      return [name, tf.tensor(Float32Array.from(data), shapes?.[name] ?? [rows, columns], 'float32')];
    }),
  );
  const want = reference();
  const cotangents = Object.entries(want).map(
    ([name, {data}]) => [name, randomValues(random, data.length)] as const,
  );
  const loss = (): number => {
    const outputs = reference();
    return cotangents.reduce(
      (sum, [name, cotangent]) => cotangent.reduce((s, c, i) => s + c * outputs[name]!.data[i]!, sum),
      0,
    );
  };
  const lossOp = (...list: tf.Tensor[]): tf.Scalar => {
    const outputs = op(Object.fromEntries(names.map((name, i) => [name, list[i]!])));
    // With a zero at the end: the stock GPU backends have no sum over nothing.
    const terms = cotangents.map(([name, cotangent]) => {
      const values = tf.pad(tf.reshape(outputs[name]!, [cotangent.length]), [[0, 1]]);
      return tf.sum(tf.mul(values, tf.tensor1d(Float32Array.from([...cotangent, 0]))));
    });
    return tf.addN(terms) as tf.Scalar;
  };
  const got = tf.tidy(() => op(tensors));
  const gradients = tf.tidy(() => tf.grads(lossOp)(names.map((name) => tensors[name]!)));
  let worst = 0;
  for (const [name, {data}] of Object.entries(want))
    worst = Math.max(worst, deviation(await got[name]!.data(), data));
  for (const [i, name] of names.entries()) {
    const numeric = numericGradient(loss, inputs[name]!.data);
    worst = Math.max(worst, deviation(await gradients[i]!.data(), numeric));
    if (!tf.util.arraysEqual(gradients[i]!.shape, tensors[name]!.shape)) worst = Number.POSITIVE_INFINITY;
  }
  tf.dispose([tensors, got, gradients]);
  return worst;
}
