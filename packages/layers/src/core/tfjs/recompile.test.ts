import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {type Peft, upgrade} from '../../index.js';
import {
  compile,
  expectUnchanged,
  fingerprint,
  nested,
  predict,
  sequential,
  shared,
  train,
} from '../../testing/models.js';

import {disposeOptimizer} from './recompile.js';

const lora = {type: 'lora', rank: 2} as const;

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const optimizers: [string, () => tf.Optimizer][] = [
  ['sgd', () => tf.train.sgd(0.02)],
  ['momentum', () => tf.train.momentum(0.02, 0.8, true)],
  ['adagrad', () => tf.train.adagrad(0.02, 0.2)],
  ['adadelta', () => tf.train.adadelta(0.5, 0.9)],
  ['adam', () => tf.train.adam(0.02, 0.8, 0.99, 1e-6)],
  ['adamax', () => tf.train.adamax(0.02, 0.8, 0.99)],
  ['rmsprop', () => tf.train.rmsprop(0.02, 0.8, 0.1)],
];

test.each(optimizers)(
  'a model compiled with %s trains the adapter, with its own settings',
  async (_name, make) => {
    for (const build of [sequential, shared, nested]) {
      const model: tfl.LayersModel = build();
      const own = make();
      compile(model, own);
      await train(model);
      const before = fingerprint(model);
      const {numTensors, numBytes} = tf.memory();

      const peft = await upgrade(model, {adapter: lora});
      expect(model.optimizer).not.toBe(own);
      expect(model.optimizer.constructor).toBe(own.constructor);
      expect(model.optimizer.getConfig()).toEqual(own.getConfig());
      expect(model.loss).toBe('meanSquaredError');
      expect(model.metrics).toEqual(['mae']);
      const start = peft.trainableVariables().map((variable) => variable.dataSync().slice());
      await train(model);
      const end = peft.trainableVariables().map((variable) => variable.dataSync());
      // lora_A of every second variable starts to move once lora_B has.
      expect(end.every((values, i) => values.some((value, j) => value !== start[i]![j]))).toBe(true);

      peft.detach();
      expectUnchanged(model, before);
      expect(tf.memory()).toMatchObject({numTensors, numBytes});
      await train(model);
    }
  },
);

test.each(optimizers)('in a tidy, what trains with %s is kept', async (_name, make) => {
  for (const build of [sequential, nested]) {
    const model: tfl.LayersModel = build();
    const own = make();
    compile(model, own);
    await train(model, 1);
    const {numTensors} = tf.memory();
    const tidy = (act: () => unknown) =>
      tf.tidy(() => {
        act();
      });
    let upgraded: Promise<Peft> | undefined;
    tidy(
      () =>
        (upgraded = upgrade(model, {
          adapter: lora,
          name: 'a',
          alsoTrain: [/^(head|dense_100)$/],
          targets: [/dense_1$/],
        })),
    );
    const peft = await upgraded!;
    await train(model, 1);
    tidy(
      () =>
        (upgraded = upgrade(model, {adapter: {type: 'molora', experts: 2, rank: 2}, name: 'b'}).catch(
          () => peft,
        )),
    );
    tidy(
      () =>
        (upgraded = upgrade(model, {
          adapter: {type: 'molora', experts: 2, rank: 2},
          name: 'c',
          targets: [/dense_1$/],
        })),
    );
    await upgraded;
    await train(model, 1);
    tidy(() => {
      peft.trackUsage();
      peft.setContext({task: tf.tensor1d([0])});
      peft.enable('a');
    });
    await train(model, 1);
    tidy(() => peft.disable());
    tidy(() => peft.remove('c'));
    tidy(() => peft.enable('a'));
    await train(model, 1);
    tidy(() => peft.detach());
    expect(tf.memory().numTensors).toBe(numTensors);
    await train(model, 1);
    model.dispose();
    disposeOptimizer(own);
  }
});

test('loss and metrics of several outputs, by name and as functions, are kept', async () => {
  const one = shared();
  const {model: makeModel} = await import('@tensorflow/tfjs-layers');
  const model = makeModel({
    inputs: one.inputs,
    outputs: [one.outputs[0]!, one.getLayer('tower').getOutputAt(0) as tfl.SymbolicTensor],
  });
  const loss = {
    head: 'meanSquaredError',
    tower: (y: tf.Tensor, p: tf.Tensor) => tf.losses.meanSquaredError(y, p),
  };
  const metrics = {head: 'mae'};
  model.compile({optimizer: 'sgd', loss: loss as never, metrics});
  await upgrade(model, {adapter: lora});
  expect(model.loss).toBe(loss);
  expect(model.metrics).toBe(metrics);
  const x = [tf.ones([2, 4]), tf.ones([2, 4])];
  const {history} = await model.fit(x, [tf.ones([2, 3]), tf.ones([2, 5])], {epochs: 2, verbose: 0});
  expect(Object.keys(history)).toEqual(['loss', 'head_loss', 'tower_loss', 'head_mae']);
});

test('a layer that was frozen after compile is as frozen after detach', async () => {
  const model = sequential();
  compile(model);
  model.layers[0]!.trainable = false;
  const before = fingerprint(model);
  const peft = await upgrade(model, {adapter: lora});
  await train(model, 1);
  peft.detach();
  expectUnchanged(model, before);
});

test('a model that is not compiled stays so', async () => {
  const model = sequential();
  const peft = await upgrade(model, {adapter: lora});
  expect(model.optimizer).toBeUndefined();
  compile(model);
  await train(model);
  peft.detach();
  // What the user compiled in between is compiled for the weights of now.
  const before = await predict(model);
  await train(model);
  expect(await predict(model)).not.toEqual(before);
});

test('moments survive a look at the base model, and not another adapter', async () => {
  const model = sequential();
  compile(model, 'adam');
  const peft = await upgrade(model, {adapter: lora, name: 'a'});
  await train(model);
  const optimizer = model.optimizer;
  peft.disable();
  peft.enable();
  expect(model.optimizer).toBe(optimizer);
  await upgrade(model, {adapter: {type: 'ia3'}, name: 'b', targets: ['dense_1']});
  expect(model.optimizer).not.toBe(optimizer);
  await train(model);
  const {numTensors} = tf.memory();
  for (let i = 0; i < 10; i++) {
    peft.enable('a');
    await train(model, 1);
    peft.enable('b');
    await train(model, 1);
  }
  expect(tf.memory().numTensors).toBe(numTensors);
});

test("a user's optimizers are never disposed, this package's are", async () => {
  const model = sequential();
  const first = tf.train.adam(0.01);
  compile(model, first);
  await train(model, 1);
  const peft = await upgrade(model, {adapter: lora});
  await train(model, 1);
  const second = tf.train.adam(0.02);
  compile(model, second);
  await train(model, 1);
  peft.detach();
  expect(model.optimizer).not.toBe(second);
  expect(model.optimizer.getConfig()).toEqual(second.getConfig());
  for (const optimizer of [first, second]) {
    expect((await optimizer.getWeights()).every(({tensor}) => !tensor.isDisposed)).toBe(true);
  }
});

test('a nested model that is compiled too trains the adapter inside it', async () => {
  const model = nested();
  const inner = model.getLayer('inner') as unknown as tfl.LayersModel;
  inner.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
  const own = inner.optimizer;
  const peft = await upgrade(model, {adapter: lora, targets: ['wide']});
  const before = peft.trainableVariables()[1]!.dataSync().slice();
  await inner.fit(tf.ones([2, 4]), tf.ones([2, 4]), {verbose: 0});
  expect(peft.trainableVariables()[1]!.dataSync()).not.toEqual(before);
  peft.detach();
  expect(inner.optimizer).toBe(own);
});

test('a model compiled after the upgrade with an optimizer of its own leaves nothing behind when all ends', async () => {
  const life = async () => {
    const model = sequential();
    const peft = await upgrade(model, {adapter: lora});
    model.compile({optimizer: 'adam', loss: 'meanSquaredError'});
    await train(model);
    peft.detach();
    model.dispose();
  };
  await life();
  const {numTensors} = tf.memory();
  await life();
  expect(tf.memory().numTensors).toBe(numTensors);
});
