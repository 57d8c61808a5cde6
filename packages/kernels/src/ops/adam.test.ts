import * as tf from '@tensorflow/tfjs-core';
import {registerAdam, ShapeError, unregisterAdam} from '../index.js';
import {adamDeviation, adamKernels, adamSwitchDeviation} from '../testing/adam-cases.js';
import {useBackend} from '../testing/backends.js';

describe.each(['cpu', 'wasm'] as const)('Adam on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('agrees with the reference, and with the stock one where they take turns', async () => {
    expect(await adamDeviation()).toBeLessThan(1e-5);
    expect(await adamSwitchDeviation()).toBeLessThan(1e-6);
  });

  it('is one kernel a variable', async () => {
    expect((await adamKernels()).filter((name) => name !== 'Identity')).toEqual(['PeftAdam']);
  });

  it.each([
    ['another shape', 4096],
    ['the same shape', 4],
  ])('refuses the moments of another variable of %s, and changes nothing', async (_name, size) => {
    const [a, b] = [tf.variable(tf.ones([4])), tf.variable(tf.ones([size]))];
    const optimizer = tf.train.adam(0.1);
    const step = (of: tf.Variable) => optimizer.minimize(() => tf.sum(tf.square(of)), false, [of]);
    step(a);
    const {iterations} = optimizer;
    expect(() => step(b)).toThrow(ShapeError);
    expect(() => step(b)).toThrow('make a new one for other variables');
    expect(optimizer.iterations).toBe(iterations);
    expect(Math.max(...(await b.data()))).toBe(1);
    step(a);
    expect((await a.data())[0]).toBeCloseTo(0.8, 3);
    optimizer.dispose();
    tf.dispose([a, b]);
  });

  it('goes on with moments that were loaded, whatever they are called, and refuses those of another shape', async () => {
    const [a, b] = [tf.variable(tf.ones([4])), tf.variable(tf.ones([8]))];
    const [first, second] = [tf.train.adam(0.1), tf.train.adam(0.1)];
    const step = (optimizer: tf.Optimizer, of: tf.Variable) =>
      optimizer.minimize(() => tf.sum(tf.square(of)), false, [of]);
    step(first, a);
    await second.setWeights((await first.getWeights()).map((weight, i) => ({...weight, name: `w${i}`})));
    step(second, a);
    expect((await a.data())[0]).toBeCloseTo(0.8, 3);
    expect(() => step(second, b)).toThrow(ShapeError);
    first.dispose();
    tf.dispose([a, b]);
  });

  it('leaves no tensor behind', () => {
    const w = tf.variable(tf.ones([3, 5]));
    const optimizer = tf.train.adam(0.1);
    const step = () => {
      optimizer.minimize(() => tf.sum(tf.square(w)) as tf.Scalar);
    };
    step();
    const before = tf.memory().numTensors;
    for (let i = 0; i < 5; i++) step();
    expect(tf.memory().numTensors).toBe(before);
    optimizer.dispose();
    w.dispose();
  });
});

test('unregistered, the stock method is back', () => {
  const ours = tf.AdamOptimizer.prototype.applyGradients;
  unregisterAdam();
  const stock = tf.AdamOptimizer.prototype.applyGradients;
  registerAdam();
  expect(stock).not.toBe(ours);
  expect(tf.AdamOptimizer.prototype.applyGradients).not.toBe(stock);
});
