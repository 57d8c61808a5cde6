import * as tf from '@tensorflow/tfjs-core';
import {combine} from '../index.js';
import {TEST_BACKENDS, useBackend} from '../testing/backends.js';
import {modulatedPays} from './modulated-tail.js';

const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed);

/** z, h, b, gates, table. */
const inputsOf = (rows: number, width: number, rank: number, experts: number) =>
  [
    [rows, width],
    [rows, rank],
    [rank, width],
    [rows, experts],
    [experts, width],
  ].map((shape, i) => normal(shape, i + 1)) as tf.Tensor2D[];

describe.each(TEST_BACKENDS)('a modulated tail on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each([
    [256, 512, 4, 8],
    [512, 256, 2, 4],
    [512, 256, 8, 3],
    [512, 256, 1, 1],
  ])('of %d rows, %d columns, rank %d and %d experts has the gradients of its formula', async (...sizes) => {
    const inputs = inputsOf(...sizes);
    const [, h, b, betaGates, betaTable] = inputs;
    expect(modulatedPays({h: h!, b: b!, betaGates: betaGates!, betaTable: betaTable!})).toBe(true);
    const cotangent = normal(inputs[0]!.shape, 9);
    const gradients = (of: (...inputs: tf.Tensor2D[]) => tf.Tensor) =>
      tf.grads((...args) => tf.sum(tf.mul(of(...(args as tf.Tensor2D[])), cotangent)) as tf.Scalar)(inputs);
    const ours = gradients((z, h, b, gates, table) => combine({z, h, b, scale: 0.5, beta: {gates, table}}));
    const want = gradients((z, h, b, gates, table) =>
      tf.add(z!, tf.mul(tf.mul(tf.matMul(h!, b!), 0.5), tf.matMul(gates!, table!))),
    );
    for (const [i, gradient] of ours.entries()) {
      const [difference, size] = tf.tidy(() => [
        tf.max(tf.abs(tf.sub(gradient, want[i]!))),
        tf.max(tf.abs(want[i]!)),
      ]);
      expect((await difference!.data())[0]! / (await size!.data())[0]!).toBeLessThan(1e-5);
    }
  });
});

it('is left alone where the output is small, or the products would be wide', () => {
  const pays = (...sizes: [number, number, number, number]) => {
    const [, h, b, betaGates, betaTable] = inputsOf(...sizes) as [tf.Tensor2D, ...tf.Tensor2D[]];
    return modulatedPays({h: h!, b: b!, betaGates: betaGates!, betaTable: betaTable!});
  };
  expect(pays(64, 128, 4, 8)).toBe(false);
  expect(pays(512, 256, 16, 16)).toBe(false);
});
