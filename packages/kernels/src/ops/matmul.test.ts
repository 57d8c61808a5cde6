import * as tf from '@tensorflow/tfjs-core';
import {deviation} from '@tfjs-peft/testing/compare';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {ConfigError, matMul, project, ShapeError} from '../index.js';
import {matMulReference, matrix} from '../reference/matrix.js';
import {TEST_BACKENDS, useBackend} from '../testing/backends.js';
import {columnSumDeviation} from '../testing/column-sum-cases.js';

const random = randomNumbers(5);
const values = (count: number): Float32Array => Float32Array.from(randomValues(random, count));

describe.each(TEST_BACKENDS)('matMul and project on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  const sizes = [1, 3, 5, 17, 130];
  const cases = sizes.flatMap((m) => sizes.flatMap((n) => [[m, n, 5 + ((m * n) % 31)]]));

  test('column sums', async () => {
    expect(await columnSumDeviation()).toBeLessThan(1e-5);
  });

  test.each(cases)('[%d,%d] over %d in every transposition', (m, n, k) => {
    for (const [ta, tb] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      const a = values(m! * k!);
      const b = values(k! * n!);
      const shapeA: [number, number] = ta ? [k!, m!] : [m!, k!];
      const shapeB: [number, number] = tb ? [n!, k!] : [k!, n!];
      const want = matMulReference(matrix(...shapeA, a), matrix(...shapeB, b), ta, tb);
      const got = tf.tidy(() => matMul(tf.tensor2d(a, shapeA), tf.tensor2d(b, shapeB), ta, tb));
      expect(got.shape).toEqual([m, n]);
      expect(deviation(got.dataSync(), want.data)).toBeLessThan(1e-5);
      got.dispose();
    }
  });

  test.each([
    [
      [3, 5, 7],
      [3, 7, 4],
    ],
    [
      [1, 5, 7],
      [3, 7, 4],
    ],
    [
      [3, 5, 7],
      [1, 7, 4],
    ],
    [
      [3, 5, 7],
      [7, 4],
    ],
    [
      [5, 7],
      [3, 7, 4],
    ],
  ])('batches %p x %p and their gradients agree with tfjs', (shapeA, shapeB) => {
    const a = tf.tensor(values(shapeA.reduce((x, y) => x * y, 1)), shapeA);
    const b = tf.tensor(values(shapeB.reduce((x, y) => x * y, 1)), shapeB);
    const batched = (t: tf.Tensor): tf.Tensor3D =>
      tf.reshape(t, [t.rank === 3 ? t.shape[0]! : 1, t.shape.at(-2)!, t.shape.at(-1)!]);
    const weights = tf.tensor(values(3 * 5 * 4), [3, 5, 4]);
    const ours = tf.grads((x: tf.Tensor, y: tf.Tensor) =>
      tf.sum(tf.mul(matMul(x, y, false, false, 3), weights)),
    );
    const stock = tf.grads((x: tf.Tensor, y: tf.Tensor) => {
      const tile = (t: tf.Tensor3D): tf.Tensor3D => (t.shape[0] === 3 ? t : tf.concat([t, t, t], 0));
      return tf.sum(tf.mul(tf.mul(tf.matMul(tile(batched(x)), tile(batched(y))), 3), weights));
    });
    const got = ours([a, b]);
    const want = stock([a, b]);
    for (const i of [0, 1]) {
      expect(got[i]!.shape).toEqual([shapeA, shapeB][i]);
      expect(deviation(got[i]!.dataSync(), want[i]!.dataSync())).toBeLessThan(1e-5);
    }
  });

  test.each([
    [[4, 17], 3, 5],
    [[2, 3, 5], 1, 1],
    [[2, 1, 3, 7], 8, 12],
  ])('project %p: h, columns and gradients', (shape, rank, columns) => {
    const dIn = shape.at(-1)!;
    const dOut = 13;
    const x = tf.tensor(values(shape.reduce((p, q) => p * q, 1)), shape);
    const a = tf.tensor2d(values(dIn * rank), [dIn, rank]);
    const kernel = tf.tensor2d(values(dIn * dOut), [dIn, dOut]);
    const stock = (x: tf.Tensor, a: tf.Tensor, w: tf.Tensor): tf.Tensor => {
      const flat = tf.reshape(x, [-1, dIn]);
      return tf.concat([tf.matMul(flat, a), tf.matMul(flat, tf.slice(w, [0, 0], [dIn, columns]))], 1);
    };
    const ours = (x: tf.Tensor, a: tf.Tensor, w: tf.Tensor): tf.Tensor => {
      const {h, columns: taken} = project({x, a: a as tf.Tensor2D, kernel: w as tf.Tensor2D, columns});
      expect(h.shape).toEqual([...shape.slice(0, -1), rank]);
      expect(taken!.shape).toEqual([...shape.slice(0, -1), columns]);
      return tf.concat([tf.reshape(h, [-1, rank]), tf.reshape(taken!, [-1, columns])], 1);
    };
    const want = stock(x, a, kernel);
    expect(deviation(ours(x, a, kernel).dataSync(), want.dataSync())).toBeLessThan(1e-5);
    const dy = tf.tensor(values(want.size), want.shape);
    const gradients = [ours, stock].map((f) =>
      tf.grads((...args: tf.Tensor[]) => tf.sum(tf.mul(f(args[0]!, args[1]!, args[2]!), dy)))([x, a, kernel]),
    );
    for (const i of [0, 1, 2]) {
      expect(deviation(gradients[0]![i]!.dataSync(), gradients[1]![i]!.dataSync())).toBeLessThan(1e-5);
    }
  });
});

test('shapes that do not fit are refused', async () => {
  await useBackend('cpu');
  expect(() => matMul(tf.zeros([2, 3]), tf.zeros([4, 2]))).toThrow(ShapeError);
  expect(() => matMul(tf.zeros([2, 2, 3]), tf.zeros([3, 3, 2]))).toThrow(/batch sizes 2 of a and 3 of b/);
  expect(() => project({x: tf.zeros([2, 3]), a: tf.zeros([4, 2])})).toThrow(/a's first axis is 4/);
  expect(() => project({x: tf.zeros([2, 3]), a: tf.zeros([3, 2]), columns: 1})).toThrow(ConfigError);
});
