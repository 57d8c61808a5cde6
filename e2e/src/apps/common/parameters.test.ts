import '@tensorflow/tfjs-backend-cpu';
// Registers the gradients of tfjs-core's ops.
import '@tensorflow/tfjs-layers';
import * as tf from '@tensorflow/tfjs-core';
import {Parameters} from './parameters.js';

const zeros = (name: string) => ({name, shape: [3], values: new Float32Array(3)});
const target = [1, 2, 3];
const curvature = [1, 10, 100];
const gradientAt = (x: Float32Array) => x.map((value, i) => 2 * curvature[i]! * (value - target[i]!));

describe('Parameters', () => {
  it('takes the steps of Adam in tfjs while nothing is clipped', async () => {
    await tf.setBackend('cpu');
    const theirs = tf.variable(tf.zeros([3]), true, 'theirs');
    const parameters = new Parameters([zeros('x')], () => 1);
    const adam = tf.train.adam(0.05, 0.9, 0.999, 1e-7);
    for (let step = 0; step < 20; step++) {
      parameters.update([gradientAt(parameters.values[0]!)], 0.05, 1e9);
      const loss = () => tf.sum(tf.mul(tf.square(tf.sub(theirs, target)), curvature)) as tf.Scalar;
      adam.minimize(loss, false, [theirs]);
    }
    theirs.dataSync().forEach((value, i) => {
      expect(parameters.values[0]![i]).toBeCloseTo(value, 4);
    });
    adam.dispose();
    theirs.dispose();
  });

  it('clips the norm over all gradients, scales the rate and skips parameters without a gradient', () => {
    const parameters = new Parameters(
      [zeros('a'), {name: 'b', shape: [1], values: Float32Array.of(5)}],
      (name) => (name === 'a' ? 2 : 1),
    );
    parameters.update([Float32Array.of(3e6, 0, 4e6), undefined], 0.1, 1);
    expect(parameters.values[0]![0]).toBeCloseTo(-0.2, 5);
    expect(parameters.values[1]).toEqual(Float32Array.of(5));
    expect(parameters.states().get('a')!.first[0]).toBeCloseTo(0.06, 6);
    expect(parameters.states().get('b')!.updates).toBe(0);
  });

  it('ignores a gradient that is not finite', () => {
    const parameters = new Parameters([zeros('x')], () => 1);
    parameters.update([Float32Array.of(Number.NaN, 1, 1)], 0.1, 1);
    expect(parameters.values[0]).toEqual(new Float32Array(3));
  });

  it('goes on from its states as if nothing had happened', () => {
    const run = (restart: boolean) => {
      let parameters = new Parameters([zeros('x')], () => 1);
      for (let step = 0; step < 6; step++) {
        if (restart && step === 3) {
          const states = parameters.states();
          parameters = new Parameters([zeros('x')], () => 1);
          parameters.restoreStates(states);
        }
        parameters.update([gradientAt(parameters.values[0]!)], 0.05, 1);
      }
      return parameters.values[0];
    };
    expect(run(true)).toEqual(run(false));
  });
});
