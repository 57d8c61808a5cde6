import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {upgrade} from '../../index.js';
import {dense} from '../../testing/models.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const random = (seed: number) => tfl.initializers.randomNormal({mean: 0.5, seed});

/** Layer normalizations over the last axis, over an axis before, without gamma and beta, and in a wrapper. */
function model(): tfl.LayersModel {
  const layers = [
    tfl.layers.layerNormalization({
      name: 'last',
      gammaInitializer: random(1),
      betaInitializer: random(2),
      epsilon: 1e-5,
      inputShape: [3, 4],
    }),
    dense('dense', 4, 3),
    tfl.layers.layerNormalization({name: 'first', axis: 1}),
    tfl.layers.layerNormalization({name: 'bare', scale: false, center: false}),
    tfl.layers.timeDistributed({name: 'wrapper', layer: tfl.layers.layerNormalization({name: 'inside'})}),
  ];
  return tfl.sequential({layers});
}

const x = () => tf.randomNormal([2, 3, 4], 0, 1, 'float32', 4);

async function kernelsOf(m: tfl.LayersModel, input: tf.Tensor): Promise<string[]> {
  const {kernelNames} = await tf.profile(() => m.predict(input) as tf.Tensor);
  return kernelNames;
}

test('layer normalizations run through one kernel while an adapter is active, and are stock ones otherwise', async () => {
  const m = model();
  const input = x();
  const stock = (m.predict(input) as tf.Tensor).dataSync();
  expect(await kernelsOf(m, input)).toContain('Tile');
  const peft = await upgrade(m, {targets: ['dense'], adapter: {type: 'lora', rank: 2}});
  const close = (m.predict(input) as tf.Tensor).dataSync();
  for (const [i, value] of stock.entries()) expect(close[i]).toBeCloseTo(value, 4);
  const profile = await tf.profile(() => m.predict(input) as tf.Tensor);
  const count = (name: string) => profile.kernels.filter((kernel) => kernel.name === name).length;
  // Two, and one a time step.
  expect(count('PeftLayerNorm')).toBe(5);
  // The one over another axis.
  expect(count('FusedBatchNorm')).toBe(1);
  peft.disable();
  expect((m.predict(input) as tf.Tensor).dataSync()).toEqual(stock);
  expect(await kernelsOf(m, input)).not.toContain('PeftLayerNorm');
  peft.enable();
  expect(await kernelsOf(m, input)).toContain('PeftLayerNorm');
  peft.detach();
  expect((m.predict(input) as tf.Tensor).dataSync()).toEqual(stock);
  for (const layer of m.layers) expect(Object.hasOwn(layer, 'call')).toBe(false);
});

test('a layer with a call of its own keeps it; gamma and beta that are trained get their gradients', async () => {
  const m = model();
  const own = m.getLayer('first');
  const {call} = own;
  own.call = function own(inputs, kwargs) {
    return call.call(this, inputs, kwargs);
  };
  const {call: kept} = own;
  const peft = await upgrade(m, {
    targets: ['dense'],
    adapter: {type: 'lora', rank: 2},
    alsoTrain: ['last'],
  });
  expect(own.call).toBe(kept);
  const input = x();
  const target = x();
  const {grads} = tf.variableGrads(
    () => tf.sum(tf.mul(m.apply(input) as tf.Tensor, target)) as tf.Scalar,
    peft.trainableVariables(),
  );
  const ofNorm = Object.entries(grads).filter(([name]) => name.startsWith('last/'));
  expect(ofNorm).toHaveLength(2);
  for (const [, gradient] of ofNorm) expect(tf.max(tf.abs(gradient)).dataSync()[0]).toBeGreaterThan(0);
});
