import * as tf from '@tensorflow/tfjs-core';
import {useBackend} from '../../golden/backend.js';
import {gemmSuite} from './gemm.js';
import {layerSuite} from './layer.js';

// Jest does not load the compiler that measures it.
const PEAK = 50;
jest.mock('../peak.js', () => ({multiplyAddPeak: async () => 50}));

const OPTIONS = {backend: 'wasm', rounds: 1, warmup: 0};

beforeAll(() => useBackend('wasm'));

test('frozen kernels have rows of their own, and a share of the peak', async () => {
  const before = tf.memory().numTensors;
  const rows = await gemmSuite({...OPTIONS, cases: /^(peak|16x768x768)/});
  for (const name of ['16x768x768/nn', '16x768x768/frozen']) {
    const own = rows.filter((row) => row.case === name);
    expect(own.map(({metric}) => metric)).toEqual(['time', 'rate', 'of-peak']);
    const [{ours: time}, , share] = own as [{ours: number}, unknown, (typeof own)[0]];
    expect(share.ours).toBeCloseTo((2 * 16 * 768 * 768) / time / 1e6, 6);
    expect(share.ratio).toBe(share.ours / PEAK);
  }
  expect(tf.memory().numTensors).toBe(before);
});

test('a layer’s share counts base, tail and router', async () => {
  const rows = await layerSuite({...OPTIONS, size: [4, 64], cases: /^molora-8x4$/});
  const of = (metric: string) => rows.find((row) => row.metric === metric)!;
  const work = 2 * 4 * (64 * 64 + 64 * 8 + 64 * 32 + 32 * 64);
  expect(of('of-peak').ours).toBeCloseTo(work / of('forward').ours / 1e6, 6);
  expect(of('of-peak').baseline).toBe(PEAK);
});
