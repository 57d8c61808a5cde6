import * as tf from '@tensorflow/tfjs-core';
import {deviation} from '@tfjs-peft/testing/compare';
import {ConfigError, ShapeError} from '../errors.js';
import {combine, project, sparsePays} from '../index.js';
import {useBackend} from '../testing/backends.js';
import {
  runSparse,
  SPARSE_CASES,
  sparseDeviations,
  sparseGradients,
  sparseInputs,
} from '../testing/sparse-cases.js';

const TOLERANCE = 2e-6;
describe.each(['cpu', 'wasm'] as const)('top-k on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  test.each(SPARSE_CASES)('sparse and dense agree, forward and in every gradient: %j', (c) => {
    const off = sparseDeviations(c);
    // y, x, a, b, gates and kernel; with beta one more.
    expect(off).toHaveLength(c.beta ? 7 : 6);
    expect(Math.max(...off)).toBeLessThan(TOLERANCE);
  });

  test('it is the sparse kernels that run, in the forward and in all products of the backward', async () => {
    const c = SPARSE_CASES[3]!;
    const inputs = sparseInputs(c);
    const {kernels} = await tf.profile(() =>
      tf.tidy(() => void sparseGradients(inputs, (given) => runSparse(given, c, true))),
    );
    const calls = (name: string): number => kernels.filter((kernel) => kernel.name === name).length;
    // Down: h and dMixed. Up: dx of A; the tail itself is part of combine. Outer: dA and dB.
    expect(['PeftExpertDown', 'PeftExpertUp', 'PeftExpertOuter'].map(calls)).toEqual([2, 1, 2]);
    expect(calls('PeftProject')).toBe(0);
    tf.dispose(inputs);
  });

  test('experts that nobody chose get zeros, and h is zero for them', () => {
    tf.tidy(() => {
      const c = SPARSE_CASES[3]!;
      const {x, a, gates, mask} = sparseInputs(c) as Record<string, tf.Tensor2D>;
      const chosen = tf.mul(gates!, mask!);
      const {h} = project({x: x!, a: a!, gates: chosen, topK: 2, sparse: true});
      const blocks = h.reshape([18, c.experts, c.rank]);
      expect(blocks.slice([0, 3, 0], [18, 1, 4]).abs().max().dataSync()[0]).toBe(0);
      expect(blocks.slice([0, 1, 0], [18, 1, 4]).abs().max().dataSync()[0]).toBeGreaterThan(0);
      const dA = tf.grad((given) =>
        tf.sum(project({x: x!, a: given as tf.Tensor2D, gates: chosen, topK: 2, sparse: true}).h),
      )(a!);
      expect(
        dA
          .slice([0, 3 * c.rank], [17, c.rank])
          .abs()
          .max()
          .dataSync()[0],
      ).toBe(0);
    });
  });

  test('a tail that is zero leaves every bit of the output as it was', () => {
    tf.tidy(() => {
      for (const c of SPARSE_CASES.filter(({beta}) => !beta)) {
        const {x, kernel, b, ...rest} = sparseInputs(c);
        const y = runSparse({x: x!, kernel: kernel!, b: tf.zerosLike(b!), ...rest}, c, true);
        const bare = combine({x, kernel: kernel as tf.Tensor2D, activation: c.activation});
        expect(y.dataSync()).toEqual(bare.dataSync());
      }
    });
  });

  test('nothing leaks', () => {
    const c = SPARSE_CASES[3]!;
    const inputs = sparseInputs(c);
    const step = (): void => tf.dispose(sparseGradients(inputs, (given) => runSparse(given, c, true)));
    step();
    const before = tf.memory();
    for (let i = 0; i < 50; i++) step();
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numBytes).toBe(before.numBytes);
    tf.dispose(inputs);
  });
});

test('a backend without kernels for it computes all experts', async () => {
  await useBackend('cpu');
  const c = SPARSE_CASES[3]!;
  const inputs = sparseInputs(c);
  const want = runSparse(inputs, c, true);
  const kernel = tf.getKernel('PeftExpertDown', 'cpu')!;
  tf.unregisterKernel('PeftExpertDown', 'cpu');
  try {
    const {kernels} = await tf.profile(() =>
      tf.tidy(() => void sparseGradients(inputs, (given) => runSparse(given, c, true))),
    );
    expect(kernels.map(({name}) => name).filter((name) => name.startsWith('PeftExpert'))).toEqual([]);
    expect(deviation(runSparse(inputs, c, true).dataSync(), want.dataSync())).toBeLessThan(TOLERANCE);
  } finally {
    tf.registerKernel(kernel);
  }
});

describe('sparse pays', () => {
  const many = {rows: 256, width: 768, experts: 64, rank: 16, topK: 2};
  test.each([
    ['64 experts of rank 16, two chosen', many, true],
    ['all of them chosen', {...many, topK: 64}, false],
    ['a single row', {...many, rows: 1}, true],
    ['8 experts of rank 4, two chosen', {...many, experts: 8, rank: 4}, false],
    ['one expert', {...many, experts: 1, topK: 1}, false],
    ['no rows', {...many, rows: 0}, false],
  ])('%s', (_, sizes, pays) => {
    expect(sparsePays(sizes)).toBe(pays);
  });

  test('it decides unless it is told to', async () => {
    await useBackend('cpu');
    const x = tf.ones([64, 32]);
    const a = tf.ones([32, 64 * 16]) as tf.Tensor2D;
    const gates = tf.oneHot(tf.zeros([64], 'int32'), 64, 1, 0, 'float32');
    const runs = async (options: {topK?: number; sparse?: boolean}) => {
      const {kernels} = await tf.profile(() => tf.tidy(() => void project({x, a, gates, ...options})));
      return kernels.some(({name}) => name === 'PeftExpertDown');
    };
    expect(await runs({topK: 1})).toBe(true);
    expect(await runs({topK: 1, sparse: false})).toBe(false);
    expect(await runs({topK: 64})).toBe(false);
    expect(await runs({topK: 64, sparse: true})).toBe(true);
    expect(await runs({})).toBe(false);
  });
});

describe('refusals', () => {
  beforeAll(() => useBackend('cpu'));
  const x = () => tf.zeros([2, 3]);
  const a = (width = 8) => tf.zeros([3, width]) as tf.Tensor2D;
  const site = () => ({
    x: x(),
    kernel: tf.zeros([3, 4]) as tf.Tensor2D,
    h: tf.zeros([2, 8]),
    b: tf.zeros([8, 4]) as tf.Tensor2D,
  });

  test.each([
    ['topK without gates', () => project({x: x(), a: a(), topK: 1}), ConfigError, /Pass gates/],
    [
      'sparse without topK',
      () => project({x: x(), a: a(), gates: tf.zeros([2, 4]), sparse: true}),
      ConfigError,
      /Pass topK/,
    ],
    [
      'topK above the gates',
      () => project({x: x(), a: a(), gates: tf.zeros([2, 4]), topK: 5}),
      ConfigError,
      /from 1 to 4/,
    ],
    [
      'topK 0',
      () => combine({...site(), gates: tf.zeros([2, 4]), mix: 'expert', topK: 0}),
      ConfigError,
      /from 1 to 4/,
    ],
    [
      'gates of other rows',
      () => project({x: x(), a: a(), gates: tf.zeros([3, 4]), topK: 1}),
      ShapeError,
      /rows of gates/,
    ],
    [
      'experts that do not divide A',
      () => project({x: x(), a: a(7), gates: tf.zeros([2, 4]), topK: 1}),
      ShapeError,
      /multiple of the 4 gates/,
    ],
    ['topK without experts', () => combine({...site(), topK: 1}), ConfigError, /only for mix 'expert'/],
  ])('%s', (_, call, type, message) => {
    expect(call).toThrow(type as never);
    expect(call).toThrow(message as RegExp);
  });
});
