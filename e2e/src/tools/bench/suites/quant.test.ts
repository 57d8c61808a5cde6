import * as tf from '@tensorflow/tfjs-core';
import {FORMATS} from '../../formats.js';
import {useBackend} from '../../golden/backend.js';
import type {Row} from '../report.js';
import {quantSuite} from './quant.js';
import {quantTasks} from './quant-tasks.js';

const OPTIONS = {backend: 'wasm', rounds: 1, warmup: 0};

beforeAll(() => useBackend('wasm'));

const figure = (rows: Row[], name: string, metric: string): Row =>
  rows.find((row) => row.case === name && row.metric === metric)!;

test('every format has its layers, in fewer bytes than float32, in memory and in a file', async () => {
  const before = tf.memory().numTensors;
  const rows = await quantSuite({...OPTIONS, size: [6, 64], cases: /batch-|molora/});
  for (const format of FORMATS) {
    for (const batch of [1, 6]) {
      const name = `${format}/batch-${batch}`;
      for (const metric of ['forward', 'forward-vs-ours'])
        expect(figure(rows, name, metric).ours).toBeGreaterThan(0);
      const bits = Number(/\d+/.exec(format)![0]);
      for (const metric of ['tensor-bytes', 'disk-bytes']) {
        const {ratio} = figure(rows, name, metric);
        expect(ratio).toBeGreaterThanOrEqual(bits / 32);
        expect(ratio).toBeLessThan(bits / 32 + 0.1);
      }
    }
  }
  expect(figure(rows, 'f32/batch-1', 'forward').ratio).toBeGreaterThan(0);
  expect(figure(rows, 'molora-8x4/int4', 'step-dx').ratio).toBeGreaterThan(0);
  expect(tf.memory().numTensors).toBe(before);
});

test('USE-lite has a row for each quantiser, and the best of them is the format’s own', async () => {
  const rows = await quantSuite({...OPTIONS, cases: /^use-lite\/int8(\/nearest|\/embedding)?$/});
  const cosine = (name: string) => figure(rows, name, 'cosine').ours;
  expect(cosine('use-lite/int8')).toBeGreaterThanOrEqual(cosine('use-lite/int8/nearest'));
  expect(cosine('use-lite/int8/nearest')).toBeGreaterThan(0.999);
  expect(cosine('use-lite/int8/embedding')).toBeGreaterThan(0.999);
  expect(figure(rows, 'use-lite/int8', 'disk-bytes').ratio).toBeLessThan(0.33);
  expect(figure(rows, 'use-lite/int8/embedding', 'tensor-bytes').baseline).toBe(4 * 8002 * 256);
});

test('--tasks compares quantisers on real tasks', async () => {
  const limits = {train: 60, validation: 30, test: 40};
  const cases = /^int(2|8)\/(nearest|clip)$/;
  const rows = await quantTasks({...OPTIONS, limits, tries: 2, seeds: [1], cases});
  for (const seed of ['', '/seed-1']) {
    expect(figure(rows, `int2/nearest${seed}`, 'error').ratio).toBe(1);
    expect(figure(rows, `int2/clip${seed}`, 'error').ratio).toBeLessThan(1);
    expect(figure(rows, `int8/nearest${seed}`, 'cosine').ours).toBeGreaterThan(0.99);
    expect(figure(rows, `int2/nearest${seed}`, 'loss').ratio).toBeGreaterThan(1);
    expect(figure(rows, `int8/clip${seed}`, 'accuracy').baseline).toBeGreaterThan(0);
  }
});
