import * as tf from '@tensorflow/tfjs';
import {createAdapter, type MovConfig, PeftDense} from '../../index.js';
import {describeAdapter} from '../../testing/describe-adapter.js';
import {gatesOf, product, zip} from '../../testing/double.js';

type Weights = ReturnType<PeftDense['adapterWeights']>;

const times = (p: number, q: number) => p * q;

describeAdapter({type: 'mov', experts: 3}, ({x, z, act, weight}) =>
  zip(act(z), product(gatesOf(x, weight('router')), weight('scaling')), times),
);
describeAdapter({type: 'mov', experts: 3, position: 'before-activation'}, ({x, z, act, weight}) =>
  act(zip(z, product(gatesOf(x, weight('router')), weight('scaling')), times)),
);
describeAdapter(
  {type: 'mov', experts: 4, router: {type: 'softmax', topK: 1, temperature: 2}},
  ({x, z, act, weight}) =>
    zip(act(z), product(gatesOf(x, weight('router'), {topK: 1, temperature: 2}), weight('scaling')), times),
);

test('mov with one expert is ia3, with a router that nothing reaches', async () => {
  await tf.setBackend('cpu');
  const layer = new PeftDense({units: 4, activation: 'relu'});
  layer.addAdapter('mov', {type: 'mov', experts: 1}, 1);
  layer.addAdapter('ia3', {type: 'ia3'}, 1);
  layer.build([null, 3]);
  const vector = tf.tensor1d([0.5, -1.5, 2, 0.1]);
  const [mov, ia3] = ['mov', 'ia3'].map((name) => layer.adapterWeights(name)) as [Weights, Weights];
  mov.get('scaling')!.write(vector.reshape([1, 4]));
  ia3.get('scaling')!.write(vector);
  const x = tf.randomNormal([5, 3], 0, 1, 'float32', 2);
  layer.activate('ia3');
  const want = await (layer.call(x, {}) as tf.Tensor).data();
  layer.activate('mov');
  expect(await (layer.call(x, {}) as tf.Tensor).data()).toEqual(want);
  const router = mov.get('router')!;
  const {grads} = tf.variableGrads(
    () => tf.sum(layer.call(x, {}) as tf.Tensor),
    [router.read() as tf.Variable],
  );
  expect(Array.from(await grads[router.name]!.data(), Math.abs)).toEqual([0, 0, 0]);
});

test('mov defaults: 4 experts after the activation, soft merging', () => {
  const config: MovConfig = {
    type: 'mov',
    experts: 4,
    position: 'after-activation',
    router: {type: 'softmax', temperature: 1, renormalize: false},
  };
  expect(createAdapter({type: 'mov'}).getConfig()).toEqual(config);
  expect(createAdapter(config).getConfig()).toEqual(config);
});
