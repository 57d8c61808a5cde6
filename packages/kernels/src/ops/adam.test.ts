import * as tf from '@tensorflow/tfjs-core';
import {registerAdam, unregisterAdam} from '../index.js';
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
  expect(tf.AdamOptimizer.prototype.applyGradients).toBe(ours);
});
