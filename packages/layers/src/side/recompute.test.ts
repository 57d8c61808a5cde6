import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/cpu';
import {largestDifference} from '@tfjs-peft/testing/compare';
import type {SideNetworkConfig} from './config.js';
import {SideNetwork} from './network.js';
import {sideValues} from './weights.js';

beforeAll(() => tf.setBackend('cpu'));

const WIDTHS = [7, 5, 6];
const random = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed);

function make(config: SideNetworkConfig): {network: SideNetwork; variables: tf.Variable[]} {
  const network = new SideNetwork({width: 4, heads: 2, hidden: 3, ...config}, {widths: WIDTHS});
  const variables: tf.Variable[] = [];
  network.build((_name, shape, init) => {
    const seed = variables.length + 1;
    const noise = random(shape, seed);
    const value = tf.variable(tf.add(tf.tensor(sideValues(init, shape, seed), shape), tf.mul(noise, 0.3)));
    variables.push(value);
    return {read: () => value};
  });
  return {network, variables};
}

/** The loss, the gradients of variables, and of taps unless they are frozen, and the bytes of the tape. */
function step(config: SideNetworkConfig, {masked = true, frozen = false} = {}) {
  const {network, variables} = make(config);
  const taps = WIDTHS.map((width, i) => tf.variable(random([3, 4, width], 70 + i)));
  const mask = tf.tensor2d([1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 0, 0], [3, 4]);
  const before = tf.memory();
  let kept = 0;
  const {value, grads} = tf.variableGrads(
    () => {
      // In a scope of its own, as in a model: what is not kept for the gradient is gone.
      const y = tf.tidy(() => network.apply(taps, masked ? tf.clone(mask) : undefined, frozen));
      kept = tf.memory().numBytes - before.numBytes;
      return tf.sum(tf.square(y)) as tf.Scalar;
    },
    frozen ? variables : [...variables, ...taps],
  );
  const tensors = tf.memory().numTensors - before.numTensors;
  expect(tensors).toBe(1 + Object.keys(grads).length);
  return {loss: value.dataSync()[0]!, grads: Object.values(grads).map((grad) => grad.dataSync()), kept};
}

const CONFIGS: SideNetworkConfig[] = [
  {},
  {combine: 'lst', salient: 'mean', gates: 'raw', topK: 1},
  {init: 'none', gates: 'renorm', norm: 'l2', routerBias: true},
  {interaction: false, activation: 'gelu'},
  {wiring: 'unipt', salient: 'mean'},
];

test.each(
  CONFIGS.flatMap((config) =>
    [true, false].flatMap((masked) => [true, false].map((frozen) => ({config, masked, frozen}))),
  ),
)('$config, masked $masked, frozen $frozen: the same numbers from fewer bytes', ({config, ...how}) => {
  const [plain, again] = [step(config, how), step({...config, recompute: true}, how)];
  expect(again.loss).toBeCloseTo(plain.loss, 4);
  expect(again.grads).toHaveLength(plain.grads.length);
  plain.grads.forEach((grad, i) => {
    const size = Math.max(...grad.map(Math.abs));
    expect(largestDifference(again.grads[i]!, grad)).toBeLessThan(1e-5 * Math.max(1, size));
  });
  expect(again.kept).toBeLessThan(0.5 * plain.kept);
});
