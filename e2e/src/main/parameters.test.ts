import '@tensorflow/tfjs-backend-cpu';
// Registers the gradients of tfjs-core's ops.
import '@tensorflow/tfjs-layers';
import * as tf from '@tensorflow/tfjs-core';
import {Parameters} from './parameters.js';

describe('Parameters', () => {
  beforeAll(async () => {
    await tf.setBackend('cpu');
  });

  const loss = (x: tf.Tensor) => tf.sum(tf.mul(tf.square(tf.sub(x, [1, 2, 3])), [1, 10, 100])) as tf.Scalar;

  it('takes the steps of tfjs’s own Adam while nothing is clipped', async () => {
    const ours = tf.variable(tf.tensor1d([0, 0, 0]), true, 'ours');
    const theirs = tf.variable(tf.tensor1d([0, 0, 0]), true, 'theirs');
    const parameters = new Parameters();
    await parameters.add('x', ours, 1);
    const adam = tf.train.adam(0.05, 0.9, 0.999, 1e-7);
    for (let step = 0; step < 20; step++) {
      const {grads, value} = tf.variableGrads(() => loss(ours), [ours]);
      await parameters.update(grads, 0.05, 1e9);
      tf.dispose([grads, value]);
      adam.minimize(() => loss(theirs), false, [theirs]);
    }
    const [got, want] = [ours.dataSync(), theirs.dataSync()];
    got.forEach((value, i) => {
      expect(value).toBeCloseTo(want[i]!, 4);
    });
    adam.dispose();
    tf.dispose([ours, theirs]);
  });

  it('clips the norm over all gradients, scales the rate and skips parameters without a gradient', async () => {
    const a = tf.variable(tf.tensor1d([0]), true, 'clip-a');
    const b = tf.variable(tf.tensor1d([5]), true, 'clip-b');
    const parameters = new Parameters();
    await parameters.add('a', a, 2);
    await parameters.add('b', b, 1);
    const gradient = tf.tensor1d([1e6]);
    await parameters.update({[a.name]: gradient}, 0.1, 1);
    expect(a.dataSync()[0]).toBeCloseTo(-0.2, 5);
    expect(b.dataSync()[0]).toBe(5);
    expect(parameters.states().get('a')!.first[0]).toBeCloseTo(0.1, 6);
    expect(parameters.states().get('b')!.updates).toBe(0);
    tf.dispose([a, b, gradient]);
  });

  it('ignores a gradient that is not finite', async () => {
    const x = tf.variable(tf.tensor1d([1]), true, 'finite');
    const parameters = new Parameters();
    await parameters.add('x', x, 1);
    const gradient = tf.tensor1d([Number.NaN]);
    await parameters.update({[x.name]: gradient}, 0.1, 1);
    expect(x.dataSync()[0]).toBe(1);
    tf.dispose([x, gradient]);
  });

  it('goes on from its states as if nothing had happened', async () => {
    const run = async (restart: boolean) => {
      const x = tf.variable(tf.tensor1d([0, 0, 0]), true, `states-${restart}`);
      let parameters = new Parameters();
      await parameters.add('x', x, 1);
      for (let step = 0; step < 6; step++) {
        if (restart && step === 3) {
          const states = parameters.states();
          x.assign(tf.tensor1d([9, 9, 9]));
          parameters = new Parameters();
          await parameters.add('x', x, 1);
          parameters.restoreStates(states);
        }
        const {grads, value} = tf.variableGrads(() => loss(x), [x]);
        await parameters.update(grads, 0.05, 1);
        tf.dispose([grads, value]);
      }
      return Array.from(x.dataSync());
    };
    expect(await run(true)).toEqual(await run(false));
  });
});
