import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import {deviation} from '@tfjs-peft/testing/compare';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {stopGradient} from '../gradients.js';
import {GRADIENT_CASES} from '../testing/gradient-cases.js';
import {einsumByProducts} from './einsum.js';

const NO_EINSUM_KERNEL = new Set(['wasm']);

describe.each(['cpu', 'wasm'])('gradients on %s', (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend);
    await tf.ready();
  });

  const here = GRADIENT_CASES.filter(
    ([name]) => !(name.startsWith('einsum') && NO_EINSUM_KERNEL.has(backend)),
  );

  test.each(here)('%s', (_, shapes, op) => {
    const random = randomNumbers(11);
    const inputs = shapes.map((shape) =>
      tf.tensor(Float32Array.from(randomValues(random, tf.util.sizeFromShape(shape))), shape),
    );
    const direction = tf.tensor(Float32Array.from(randomValues(random, op(...inputs).size)));
    const loss = (...list: tf.Tensor[]): tf.Tensor =>
      tf.sum(tf.mul(tf.reshape(op(...list), [-1]), direction));
    const got = tf.grads(loss)(inputs);
    inputs.forEach((input, i) => {
      expect(got[i]!.shape).toEqual(input.shape);
      const values = input.dataSync();
      const step = 1 / 128;
      const want = Array.from(values, (value, at) => {
        const moved = [step, -step].map((by) => {
          const copy = Float32Array.from(values);
          copy[at] = value + by;
          const list = inputs.map((t, j) => (i === j ? tf.tensor(copy, t.shape) : t));
          return loss(...list).dataSync()[0]!;
        });
        return (moved[0]! - moved[1]!) / (2 * step);
      });
      expect(deviation(got[i]!.dataSync(), want)).toBeLessThan(1e-3);
    });
  });

  test.each([
    ['abc,cd->abd', [2, 3, 4], [4, 5]],
    ['bqhd,bkhd->bhqk', [2, 3, 2, 4], [2, 5, 2, 4]],
    ['bhqk,bkhd->bqhd', [2, 2, 3, 5], [2, 5, 2, 4]],
    ['abc,cde->abde', [2, 3, 4], [4, 5, 2]],
    ['ab,ab->a', [3, 4], [3, 4]],
  ])('einsum %s as transposes and products', async (equation, shapeA, shapeB) => {
    const random = randomNumbers(2);
    const make = (shape: number[]): tf.Tensor =>
      tf.tensor(Float32Array.from(randomValues(random, tf.util.sizeFromShape(shape))), shape);
    const [a, b] = [make(shapeA), make(shapeB)];
    const got = einsumByProducts(equation, [a, b]).dataSync();
    await tf.setBackend('cpu');
    const want = tf.einsum(equation, a, b);
    expect(deviation(got, want.dataSync())).toBeLessThan(1e-5);
    await tf.setBackend(backend);
  });

  test("einsum of an operand within the other, which stock's kernel drops", () => {
    const y = einsumByProducts('j,ij->j', [
      tf.tensor1d([1, 2, 3]),
      tf.tensor2d([
        [10, 20, 30],
        [1, 1, 1],
      ]),
    ]);
    expect([...y.dataSync()]).toEqual([11, 42, 93]);
  });

  test('a boolean that one differentiates has no gradient; one that goes in beside numbers is no obstacle', () => {
    const given = tf.tensor1d([true, false, true], 'bool');
    for (const op of [(a: tf.Tensor) => tf.logicalAnd(a, given), (a: tf.Tensor) => tf.logicalNot(a)]) {
      expect(() => tf.grad(op)(given)).toThrow(/^Logical(And|Not): no gradient .* shape \[3\]/);
    }
    const masked = (x: tf.Tensor): tf.Tensor =>
      tf.sum(tf.where(tf.logicalOr(tf.clone(tf.greater(x, 0)), given), tf.square(x), x));
    expect([
      ...tf
        .grad(masked)(tf.tensor1d([-3, -4, 5]))
        .dataSync(),
    ]).toEqual([-6, 1, 10]);
  });

  test('stopGradient passes values and no gradient', () => {
    const x = tf.tensor1d([1, -2, 3]);
    const gradient = tf.grad((t: tf.Tensor) => tf.sum(tf.mul(t, stopGradient(tf.square(t)))))(x);
    expect([...gradient.dataSync()]).toEqual([1, 4, 9]);
  });
});

test('matMul with both operands broadcast, whose values stock cpu gets wrong', async () => {
  await tf.setBackend('cpu');
  const a = tf.randomUniform([4, 1, 7, 9], -1, 1, 'float32', 1);
  const b = tf.randomUniform([1, 3, 9, 5], -1, 1, 'float32', 2);
  const y = tf.matMul(a, b);
  expect(y.shape).toEqual([4, 3, 7, 5]);
  const [left, right] = [tf.unstack(tf.reshape(a, [4, 7, 9])), tf.unstack(tf.reshape(b, [3, 9, 5]))];
  const want = tf.stack(
    left.map((l) => tf.stack(right.map((r) => tf.matMul(l as tf.Tensor2D, r as tf.Tensor2D)))),
  );
  expect(deviation(y.dataSync(), want.dataSync())).toBeLessThan(1e-6);
});
