import * as tf from '@tensorflow/tfjs';
import {countTrainable, createAdapter, type MovConfig, PeftDense} from '../../../index.js';
import {type DoubleSite, describeAdapter} from '../../../testing/describe-adapter.js';
import {gatesOf, product, zip} from '../../../testing/double.js';

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

/** The released form: gates of each head of the output from that head. */
const released =
  (heads: number) =>
  ({z, act, weight}: DoubleSite) => {
    const y = act(z);
    const width = y[0]!.length / heads;
    const table = weight('scaling');
    return y.map((row) =>
      Array.from({length: heads}, (_, h) => {
        const part = row.slice(h * width, (h + 1) * width);
        const [gates] = gatesOf([part], weight('router')) as [number[]];
        return part.map(
          (value, j) => value * gates.reduce((sum, g, e) => sum + g * table[e]![h * width + j]!, 0),
        );
      }).flat(),
    );
  };

describeAdapter({type: 'mov', experts: 3, form: 'code'}, released(1));
describeAdapter({type: 'mov', experts: 2, form: 'code', heads: 7}, released(7));

test.each<[object, RegExp]>([
  [{heads: 2}, /heads needs form 'code'.*form: 'code'/],
  [{form: 'code', position: 'before-activation'}, /form 'code' always acts after/],
  [{form: 'code', heads: 0}, /heads is 0/],
])('refuses %j', (options, message) => {
  expect(() => createAdapter({type: 'mov', ...options} as MovConfig)).toThrow(message);
});

test('refuses heads that do not divide the output', () => {
  expect(() => countTrainable({type: 'mov', form: 'code', heads: 2}, {inputDim: 3, outputDim: 5})).toThrow(
    /heads is 2.*5 columns/,
  );
});

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
    form: 'paper',
    heads: 1,
    router: {type: 'softmax', temperature: 1, renormalize: false},
  };
  expect(createAdapter({type: 'mov'}).getConfig()).toEqual(config);
  expect(createAdapter(config).getConfig()).toEqual(config);
});
