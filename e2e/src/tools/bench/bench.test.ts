import * as tf from '@tensorflow/tfjs-core';
import {useBackend} from '../golden/backend.js';
import {deviation} from '../golden/compare.js';
import {median, profile, time} from './measure.js';
import {row, table} from './report.js';
import {LAYER_CASES, sidesOf} from './suites/layer-cases.js';

const WIDTH = 128;

beforeAll(() => useBackend('cpu'));

test('rounds are interleaved, each side under its own kernels, and warm-up is not counted', async () => {
  const log: string[] = [];
  const work = (name: string) => () => {
    log.push(name);
    return [];
  };
  await time({ours: work('o'), baseline: work('b')}, {rounds: 2, warmup: 1}, (side) => log.push(`[${side}]`));
  expect(log.join('')).toBe('[baseline]b[ours]o'.repeat(3));
});

test('a slow contest stops after three rounds', async () => {
  let calls = 0;
  const work = () => {
    calls++;
    return [];
  };
  await time({ours: work, baseline: work}, {rounds: 50, warmup: 1, seconds: 0}, () => {});
  expect(calls).toBe(2 * 4);
});

test('the median of an even number is between the two in the middle', () => {
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([9, 1, 5])).toBe(5);
});

test('a profile counts kernels and the bytes beyond those alive before', async () => {
  const x = tf.ones([1000]);
  const {launches, peakBytes} = await profile(() => tf.tidy(() => tf.add(tf.mul(x, x), x)));
  expect(launches).toBe(2);
  expect(peakBytes).toBe(8000);
  x.dispose();
});

test('ratios are ours over the baseline, and the table holds every row', () => {
  const rows = [row({case: 'a', metric: 'step', ours: 2, baseline: 8, baselineName: 'stock', unit: 'ms'})];
  expect(rows[0]!.ratio).toBe(0.25);
  const machine = {cpu: 'c', cores: 2, node: 'v20'};
  expect(table({suite: 'layer', backend: 'cpu', machine, rounds: 3, rows})).toMatch(
    /a +step +2\.00 ms +8\.00 ms +0\.250 +stock/,
  );
});

test.each(Object.keys(LAYER_CASES))(
  '%s and its baseline compute the same outputs and gradients',
  async (name) => {
    const before = tf.memory().numTensors;
    const sides = sidesOf(LAYER_CASES[name]!, WIDTH);
    const x = tf.randomNormal([4, WIDTH], 0, 1, 'float32', 3) as tf.Tensor2D;
    const cotangent = tf.randomNormal([4, WIDTH], 0, 1, 'float32', 4);
    const of = (side: 'ours' | 'baseline') => {
      const scale = tf.tidy(() => tf.variable(tf.ones([WIDTH])));
      const loss = () =>
        tf.sum(tf.mul(sides.forward[side](tf.mul(x, scale) as tf.Tensor2D, true), cotangent)) as tf.Scalar;
      const variables = [...sides.trained[side], scale];
      const {value, grads} = tf.variableGrads(loss, variables);
      const figures = [value, ...variables.map((variable) => grads[variable.name]!)].map((tensor) =>
        tensor.dataSync(),
      );
      tf.dispose([value, grads, scale]);
      return figures;
    };
    const [ours, baseline] = [of('ours'), of('baseline')];
    expect(ours).toHaveLength(sides.trained.ours.length + 2);
    for (const [at, data] of baseline.entries()) {
      const want = {shape: [data.length], data: data as Float32Array};
      expect(deviation(`tensor ${at}`, ours[at]!, want)).toBeLessThanOrEqual(1e-4);
    }
    sides.dispose();
    tf.dispose([x, cotangent]);
    expect(tf.memory().numTensors).toBe(before);
  },
);
