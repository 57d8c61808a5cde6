import * as tf from '@tensorflow/tfjs-core';
import {deviation} from '@tfjs-peft/testing/compare';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {einsumByProducts} from '../gradients/einsum.js';

/** An op of float inputs. */
export type Op = (...inputs: tf.Tensor[]) => tf.Tensor;

const int = (values: number[] | number[][]): tf.Tensor => tf.tensor(values, undefined, 'int32');

/** Ops whose gradient stock tfjs lacks or has wrong: name, shapes of the float inputs, op. */
export const GRADIENT_CASES: [string, number[][], Op][] = [
  [
    'einsum of a weight',
    [
      [2, 3, 4],
      [4, 5],
    ],
    (a, b) => tf.einsum('abc,cd->abd', a!, b!),
  ],
  [
    'einsum of attention',
    [
      [2, 3, 2, 4],
      [2, 5, 2, 4],
    ],
    (a, b) => tf.einsum('bqhd,bkhd->bhqk', a!, b!),
  ],
  [
    'einsum that sums an axis of one operand',
    [
      [2, 3],
      [3, 4],
    ],
    (a, b) => einsumByProducts('ij,jk->k', [a!, b!]),
  ],
  ['einsum of one operand', [[3, 4]], (a) => tf.einsum('ij->ji', a!)],
  ['gatherND', [[4, 3]], (x) => tf.gatherND(x!, int([[1], [3], [1]]))],
  [
    'gatherND of elements',
    [[4, 3]],
    (x) =>
      tf.gatherND(
        x!,
        int([
          [1, 2],
          [0, 0],
        ]),
      ),
  ],
  ['scatterND', [[3, 2]], (x) => tf.scatterND(int([[4], [1], [4]]), x!, [6, 2])],
  ['stridedSlice', [[5, 7]], (x) => tf.stridedSlice(x!, [1, 0], [5, 7], [2, 3])],
  ['stridedSlice backwards', [[5, 7]], (x) => tf.stridedSlice(x!, [4, 5], [0, 0], [-1, -2])],
  [
    'stridedSlice that shrinks an axis',
    [[5, 7, 2]],
    (x) => tf.stridedSlice(x!, [-2, 1, 0], [0, 6, 2], [1, 1, 1], 0, 0, 0, 0, 1),
  ],
  [
    'stridedSlice with a new axis and an ellipsis',
    [[3, 4, 5]],
    (x) => tf.stridedSlice(x!, [0, 0, 1], [0, 0, 5], [1, 1, 2], 0, 0, 2, 1, 0),
  ],
  ['topk', [[3, 7]], (x) => tf.topk(x!, 3).values],
  ['topk of a vector', [[9]], (x) => tf.topk(x!, 1).values],
  ['where of a comparison', [[4, 5]], (x) => tf.where(tf.greater(x!, 0), tf.square(x!), tf.mul(x!, 3))],
  [
    'where of logic',
    [[4, 5]],
    (x) => tf.where(tf.logicalAnd(tf.less(x!, 0.5), tf.logicalNot(tf.equal(x!, 2))), x!, tf.square(x!)),
  ],
  [
    'matMul with a rank-2 weight',
    [
      [2, 3, 4],
      [4, 5],
    ],
    (a, b) => tf.matMul(a!, b!),
  ],
  [
    'matMul with a transposed rank-2 weight',
    [
      [2, 3, 4],
      [5, 4],
    ],
    (a, b) => tf.matMul(a!, b!, false, true),
  ],
  [
    'matMul with a broadcast left operand',
    [
      [1, 3, 4],
      [6, 4, 5],
    ],
    (a, b) => tf.matMul(a!, b!),
  ],
  [
    'matMul with a transposed broadcast operand',
    [
      [2, 4, 3],
      [1, 4, 5],
    ],
    (a, b) => tf.matMul(a!, b!, true, false),
  ],
  [
    'squaredDifference with broadcasting',
    [
      [3, 4],
      [1, 4],
    ],
    (a, b) => tf.squaredDifference(a!, b!),
  ],
  [
    'squaredDifference with a column',
    [
      [2, 3, 4],
      [3, 1],
    ],
    (a, b) => tf.squaredDifference(a!, b!),
  ],
];

/** Gradients of a case's inputs on the active backend, one after the other. */
async function gradientsOf(shapes: number[][], op: Op): Promise<Float32Array> {
  const joined = tf.tidy(() => {
    const random = randomNumbers(11);
    const make = (shape: number[]): tf.Tensor =>
      tf.tensor(Float32Array.from(randomValues(random, tf.util.sizeFromShape(shape))), shape);
    const inputs = shapes.map(make);
    const direction = make(op(...inputs).shape);
    const loss = (...list: tf.Tensor[]): tf.Tensor => tf.sum(tf.mul(op(...list), direction));
    return tf.concat(
      tf
        .grads(loss)(inputs)
        .map((gradient) => tf.reshape(gradient, [-1])),
    );
  });
  const values = await joined.data<'float32'>();
  joined.dispose();
  return values;
}

/**
 * How far a case's gradients on a backend are from those on cpu, which are checked against finite
 * differences.
 */
export async function deviationFromCpu(i: number, backend: string): Promise<number> {
  const [, shapes, op] = GRADIENT_CASES[i]!;
  await tf.setBackend('cpu');
  const want = await gradientsOf(shapes, op);
  await tf.setBackend(backend);
  return deviation(await gradientsOf(shapes, op), want);
}
