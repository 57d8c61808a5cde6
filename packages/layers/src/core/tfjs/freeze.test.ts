import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {upgrade} from '../../index.js';
import {
  compile,
  copy,
  dense,
  expectUnchanged,
  fingerprint,
  inputsOf,
  nested,
  normalized,
  predict,
  snapshot,
  timeDistributed,
  train,
} from '../../testing/models.js';

const lora = {type: 'lora', rank: 2} as const;

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const bytesOf = (model: tfl.LayersModel, pattern: RegExp) =>
  snapshot(model)
    .filter(({name}) => pattern.test(name))
    .map(({name, bytes}) => [name, bytes]);

test('a stock fit moves BatchNorm statistics and everything else; a fit after the upgrade moves none', async () => {
  const stock = normalized();
  const before = bytesOf(stock, /batch_norm/);
  stock.getLayer('batch_norm').trainable = false;
  compile(stock);
  await train(stock);
  expect(bytesOf(stock, /moving_mean/)).not.toEqual(before.filter(([name]) => /moving_mean/.test(name!)));

  const model = normalized();
  await upgrade(model, {adapter: lora});
  compile(model);
  await train(model);
  expect(bytesOf(model, /batch_norm/)).toEqual(before);
});

test('minimize without a list of variables trains the adapter alone', async () => {
  const model = timeDistributed();
  const base = snapshot(model);
  const peft = await upgrade(model, {adapter: lora});
  const [x] = inputsOf(model);
  const optimizer = tf.train.sgd(0.5);
  for (let i = 0; i < 2; i++)
    optimizer.minimize(() => tf.sum(tf.square(model.apply(x!) as tf.Tensor)) as tf.Scalar);
  const byId = new Map(snapshot(model).map((weight) => [weight.id, weight.bytes]));
  for (const {id, bytes} of base) expect(byId.get(id)).toBe(bytes);
  expect(
    peft
      .trainableVariables()[1]!
      .dataSync()
      .some((value) => value !== 0),
  ).toBe(true);
});

test('alsoTrain trains a layer in full, and no other', async () => {
  const model = normalized();
  model.getLayer('head').trainable = false;
  const before = fingerprint(model);
  const peft = await upgrade(model, {adapter: lora, targets: ['first'], alsoTrain: ['head', /batch/]});
  expect(peft.report().sites.map(({name, status, trainable}) => [name, status, trainable])).toEqual([
    ['first', 'adapted', 20],
    ['batch_norm', 'trained', 12],
    ['layer_norm', 'frozen', 0],
    ['head', 'trained', 21],
  ]);
  expect(peft.trainableVariables().reduce((sum, {size}) => sum + size, 0)).toBe(peft.report().trainable);
  const trained = bytesOf(model, /^(head|batch_norm)\//);
  const frozen = bytesOf(model, /^(first\/kernel|first\/bias|layer_norm)/);
  compile(model);
  await train(model);
  bytesOf(model, /^(head|batch_norm)\//).forEach((weight, i) => {
    expect(weight).not.toEqual(trained[i]);
  });
  expect(bytesOf(model, /^(first\/kernel|first\/bias|layer_norm)/)).toEqual(frozen);
  peft.detach();
  const now = fingerprint(model);
  // The optimizer that came meanwhile.
  expect(before.filter((part, i) => !Object.is(part, now[i]))).toEqual([undefined]);
});

test('alsoTrain takes in a whole nested model', async () => {
  const model = nested();
  const peft = await upgrade(model, {adapter: lora, targets: ['head'], alsoTrain: ['deep']});
  const names = model.trainableWeights.map(({originalName}) => originalName);
  expect(names.filter((name) => /^dense_/.test(name))).toHaveLength(4);
  expect(names).toHaveLength(6);
  peft.detach();
});

test('a second adapter may train further layers in full', async () => {
  const model = normalized();
  const before = fingerprint(model);
  const peft = await upgrade(model, {adapter: lora, targets: ['first'], name: 'a'});
  await upgrade(model, {adapter: lora, targets: ['first'], name: 'b', alsoTrain: ['head']});
  expect(model.trainableWeights.map(({originalName}) => originalName)).toEqual([
    'first/b/lora_A',
    'first/b/lora_B',
    'head/kernel',
    'head/bias',
  ]);
  peft.detach();
  expectUnchanged(model, before);
});

test('an upgrade trains inside models and layers that were frozen by hand, and freezes them again', async () => {
  const model = nested();
  const inner = model.getLayer('inner') as unknown as tfl.LayersModel;
  inner.trainable = false;
  (inner.getLayer('deep') as unknown as tfl.LayersModel).layers[0]!.trainable = false;
  model.trainable = false;
  const before = fingerprint(model);
  const peft = await upgrade(model, {adapter: lora});
  expect(peft.trainableVariables()).toHaveLength(8);
  compile(model);
  const [first, ...rest] = await train(model, 5);
  expect(rest.at(-1)).toBeLessThan(first!);
  peft.detach();
  expectUnchangedButCompiled(model, before);
});

function expectUnchangedButCompiled(model: tfl.LayersModel, before: readonly unknown[]) {
  const now = fingerprint(model);
  const changed = before.filter((part, i) => !Object.is(part, now[i]));
  expect(changed).toEqual([undefined]);
}

test('composites and cells with weights of their own are frozen', async () => {
  class Composite extends tfl.layers.Layer {
    static className = 'TestComposite';
    private readonly inside = dense('inside', 4, 9);
    override build(shape: tfl.Shape): void {
      this.inside.build(shape);
      this.inside.built = true;
      this.built = true;
    }
    override get trainableWeights() {
      return this.inside?.trainableWeights ?? [];
    }
    override get nonTrainableWeights() {
      return this.inside?.nonTrainableWeights ?? [];
    }
    override call(x: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>) {
      return this.inside.call(x, kwargs);
    }
  }
  const model = tfl.sequential({
    layers: [
      tfl.layers.rnn({
        cell: [
          tfl.layers.gruCell({units: 4, recurrentInitializer: 'glorotNormal'}),
          tfl.layers.simpleRNNCell({units: 4, recurrentInitializer: 'glorotNormal'}),
        ],
        inputShape: [2, 4],
      }),
      new Composite({name: 'composite'}),
      dense('head', 3, 1),
    ],
  });
  const before = fingerprint(model);
  const weights = snapshot(model);
  const peft = await upgrade(model, {adapter: lora});
  expect(model.trainableWeights.map(({originalName}) => originalName)).toEqual([
    'head/default/lora_A',
    'head/default/lora_B',
  ]);
  compile(model);
  await train(model);
  const now = new Map(snapshot(model).map((weight) => [weight.id, weight]));
  for (const {id, bytes} of weights) expect(now.get(id)).toMatchObject({bytes, trainable: false});
  peft.detach();
  expectUnchangedButCompiled(model, before);
});

test('a saved model is as frozen when it is loaded, layers without adapter included', async () => {
  const model = timeDistributed();
  const peft = await upgrade(model, {adapter: lora, targets: ['step']});
  const again = await copy(model);
  expect(again.trainableWeights.map(({originalName}) => originalName)).toEqual([
    'each/default/lora_A',
    'each/default/lora_B',
  ]);
  expect(await predict(again)).toEqual(await predict(model));
  peft.detach();
});
