import * as tf from '@tensorflow/tfjs-core';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {combine} from '../index.js';
import type {CombineCase} from './combine-cases.js';
import {forwardDeviation, gradientDeviations} from './combine-run.js';

/**
 * Every promise of combine, on the active backend: values, gradients, sizes of 0, bits, no work for frozen
 * inputs, no leak.
 */
export function combineSuite(cases: CombineCase[], tolerance: {forward: number; gradient: number}): void {
  test.each(cases)('forward $name', async (c) => {
    expect(await forwardDeviation(c)).toBeLessThan(tolerance.forward);
  });

  test.each(cases)('gradient $name', async (c) => {
    for (const [name, off] of Object.entries(await gradientDeviations(c))) {
      if (!(off < tolerance.gradient)) throw new Error(`${name}: ${off}`);
    }
  });

  test('rows, inputs or outputs of size 0', async () => {
    const empty = combine({x: tf.zeros([0, 3]), kernel: tf.zeros([3, 2])});
    expect(empty.shape).toEqual([0, 2]);
    const bias = tf.tensor1d([1, 2]);
    const constant = combine({x: tf.zeros([2, 0]), kernel: tf.zeros([0, 2]), bias});
    expect([...(await constant.data())]).toEqual([1, 2, 1, 2]);
    expect(combine({x: tf.zeros([2, 3]), kernel: tf.zeros([3, 0])}).shape).toEqual([2, 0]);
    tf.dispose([empty, bias, constant]);
  });

  test('a tail that is zero leaves every bit of the output as it was', async () => {
    const random = randomNumbers(3);
    const t = (shape: number[]): tf.Tensor =>
      tf.tensor(
        Float32Array.from(
          randomValues(
            random,
            shape.reduce((a, b) => a * b, 1),
          ),
        ),
        shape,
      );
    for (const [rows, dIn, dOut] of [
      [1, 3, 5],
      [5, 17, 130],
      [33, 130, 17],
    ] as const) {
      const site = {
        x: t([rows, dIn]),
        kernel: t([dIn, dOut]) as tf.Tensor2D,
        bias: t([dOut]) as tf.Tensor1D,
        activation: 'tanh' as const,
      };
      const bare = combine(site);
      const zero = tf.zeros([6, dOut]) as tf.Tensor2D;
      const h = t([rows, 6]);
      const gates = t([rows, 3]);
      const ones = tf.ones([dOut]) as tf.Tensor1D;
      const adapted = [
        combine({...site, h, b: zero, scale: 4}),
        combine({...site, h, b: zero, gates, mix: 'expert', scale: 4}),
        combine({...site, h, b: zero, beta: ones}),
        combine({...site, post: ones}),
        combine({...site, alpha: ones}),
      ];
      for (const y of adapted) expect(await y.data()).toEqual(await bare.data());
    }
  });

  test('a frozen kernel gets no gradient, and the kernel of ours really runs', async () => {
    const x = tf.variable(tf.ones([3, 4]));
    const kernel = tf.ones([4, 2]) as tf.Tensor2D;
    const profile = await tf.profile(() => tf.variableGrads(() => tf.sum(combine({x, kernel})) as tf.Scalar));
    const names = profile.kernels.map(({name}) => name);
    expect(names.filter((name) => name === 'PeftCombine')).toHaveLength(1);
    expect(names.filter((name) => name === 'PeftMatMul')).toHaveLength(1);
    x.dispose();
  });

  test('nothing leaks over 100 training steps', () => {
    const x = tf.ones([5, 3]);
    const kernel = tf.ones([3, 7]) as tf.Tensor2D;
    const h = tf.variable(tf.ones([5, 4]));
    const b = tf.variable(tf.ones([4, 7])) as unknown as tf.Tensor2D;
    const gates = tf.variable(tf.ones([5, 2]));
    const step = (): void => {
      const {value, grads} = tf.variableGrads(
        () => tf.sum(combine({x, kernel, h, b, gates, mix: 'expert', activation: 'gelu'})) as tf.Scalar,
      );
      tf.dispose([value, grads]);
    };
    step();
    const before = tf.memory();
    for (let i = 0; i < 100; i++) step();
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numBytes).toBe(before.numBytes);
  });

  test("1,000 calls under the engine's own leak check", () => {
    const x = tf.ones([5, 3]);
    const kernel = tf.ones([3, 7]) as tf.Tensor2D;
    const gates = tf.ones([5, 2]);
    const table = tf.ones([2, 7]) as tf.Tensor2D;
    const call = (): void => tf.dispose(combine({x, kernel, alpha: {gates, table}, activation: 'gelu'}));
    call();
    const before = tf.memory();
    const checked = tf.env().getBool('IS_TEST');
    tf.env().set('IS_TEST', true);
    try {
      for (let i = 0; i < 1000; i++) call();
    } finally {
      tf.env().set('IS_TEST', checked);
    }
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numBytes).toBe(before.numBytes);
    tf.dispose([x, kernel, gates, table]);
  });
}
