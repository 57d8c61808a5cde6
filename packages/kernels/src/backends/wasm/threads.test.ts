import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {deviation} from '@tfjs-peft/testing/compare';
import {combine, matMul, project} from '../../index.js';
import * as training from '../../wasm-training.js';
import {attach} from './attach.js';
import {leavesToThreads} from './threads.js';

interface Threads {
  wasm: {tfjs: {getThreadsCount(): number}};
}

let real: () => number;

/**
 * How many threads the backend says that it has: what is left to them is computed by XNNPACK, however many
 * there are.
 */
function pretend(count: number): void {
  const {tfjs} = (tf.backend() as unknown as Threads).wasm;
  real ??= tfjs.getThreadsCount;
  tfjs.getThreadsCount = () => count;
}

const [ROWS, IN, OUT] = [65, 130, 133];

beforeAll(async () => {
  await tf.setBackend('wasm');
});
afterEach(() => {
  (tf.backend() as unknown as Threads).wasm.tfjs.getThreadsCount = real;
});

const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 0.3, 'float32', seed);

/** The largest deviation of what `run` gives with two threads from what it gives with one. */
function deviationOf(run: () => tf.Tensor[]): number {
  pretend(1);
  const want = run().map((t) => t.dataSync());
  pretend(2);
  const got = run().map((t) => t.dataSync());
  return Math.max(...want.map((values, i) => deviation(got[i]!, values)));
}

describe('products left to threads', () => {
  beforeAll(() => training.register());

  it('are large ones, where there are threads', () => {
    const wasm = attach(tf.backend());
    pretend(2);
    expect(leavesToThreads(wasm, ROWS, OUT, IN)).toBe(true);
    expect(leavesToThreads(wasm, 4, 4, 4)).toBe(false);
    pretend(1);
    expect(leavesToThreads(wasm, ROWS, OUT, IN)).toBe(false);
  });

  it.each([
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ])('are right with transposeA %s and transposeB %s', (transposeA, transposeB) => {
    const a = normal(transposeA ? [IN, ROWS] : [ROWS, IN], 1);
    const b = normal(transposeB ? [OUT, IN] : [IN, OUT], 2);
    const before = tf.memory().numDataBuffers;
    expect(deviationOf(() => [tf.tidy(() => tf.keep(matMul(a, b, transposeA, transposeB)))])).toBeLessThan(
      1e-5,
    );
    // The results of both runs, and nothing else.
    expect(tf.memory().numDataBuffers - before).toBe(2);
  });

  it('are right inside combine and project, and backwards', () => {
    const [x, kernel, a, b] = [
      normal([5, 13, IN], 1),
      normal([IN, OUT], 2),
      normal([IN, 140], 3),
      normal([140, OUT], 4),
    ] as [tf.Tensor, tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
    const [bias, alpha] = [normal([OUT], 5), normal([OUT], 6)] as [tf.Tensor1D, tf.Tensor1D];
    const site = (x: tf.Tensor, a: tf.Tensor, b: tf.Tensor, alpha: tf.Tensor) => {
      const {h} = project({x, a: a as tf.Tensor2D});
      const parts = {h, b: b as tf.Tensor2D, alpha: alpha as tf.Tensor1D, activation: 'gelu' as const};
      return combine({x, kernel, bias, ...parts});
    };
    const run = () => {
      const {value, grads} = tf.valueAndGrads((...list) =>
        tf.sum(tf.square(site(list[0]!, list[1]!, list[2]!, list[3]!))),
      )([x, a, b, alpha]);
      return [value, ...grads];
    };
    expect(deviationOf(run)).toBeLessThan(1e-5);
  });
});
