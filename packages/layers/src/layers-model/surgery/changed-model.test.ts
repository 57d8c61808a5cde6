import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {loadPeft, type Peft, upgrade} from '../../index.js';
import {
  compile,
  dense,
  expectUnchanged,
  fingerprint,
  nested,
  predict,
  sequential,
  train,
} from '../../testing/models.js';

/** What a user does to a model that is under an upgrade is seen: report and file have what the model has. */
const LORA = {type: 'lora', rank: 2} as const;

let folder: string;

beforeAll(async () => {
  await tf.setBackend('cpu');
  folder = await mkdtemp(join(tmpdir(), 'peft-'));
});

afterAll(() => rm(folder, {recursive: true}));

const rows = (peft: Peft) =>
  peft.report().sites.map(({name, status, trainable}) => `${name} ${status} ${trainable}`);

/** dense_1 and dense_10 of {@link sequential}, and another head. */
function withNewHead(model = sequential()): tfl.Sequential {
  model.pop();
  model.add(dense('new', 3, 9));
  return model;
}

test('layers that were taken out and put in are reported, saved and loaded as the model has them', async () => {
  const model = sequential();
  const peft = await upgrade(model, {adapter: LORA, name: 'a', seed: 1});
  withNewHead(model);
  compile(model, tf.train.adam(0.05));
  const expected = ['dense_1 adapted 20', 'dense_10 adapted 22', 'new trained 18'];
  expect(rows(peft)).toEqual(expected);
  expect(peft.report()).toMatchObject({trainable: 60, base: 30 + 30 + 18, total: 30 + 30 + 18 + 42});
  await train(model);
  const trained = await predict(model);
  const place = join(folder, 'popped');
  const {tensors} = await peft.save(place);
  expect(tensors).toBe(4 + 2);
  await loadPeft(model, place, {name: 'again'});
  expect(await predict(model)).toEqual(trained);
  expect(rows(peft)).toEqual(expected);
  const fresh = withNewHead();
  await loadPeft(fresh, place);
  expect(await predict(fresh)).toEqual(trained);
});

test('a layer that was put in is trained with the adapter of then, and is switched and removed with it', async () => {
  const model = sequential();
  const {numTensors} = tf.memory();
  const before = fingerprint(model);
  const popped = model.layers.at(-1)!;
  const peft = await upgrade(model, {adapter: LORA, name: 'a', seed: 1});
  withNewHead(model);
  compile(model, 'sgd');
  await train(model, 1);
  const a = await predict(model);
  await upgrade(model, {adapter: LORA, name: 'b', targets: ['dense_1'], seed: 2});
  expect(rows(peft)).toEqual(['dense_1 adapted 20', 'dense_10 frozen 0', 'new frozen 0']);
  const b = await predict(model);
  await train(model, 1);
  peft.enable('a');
  expect(await predict(model)).toEqual(a);
  await train(model, 1);
  expect(await predict(model)).not.toEqual(a);
  peft.remove('b');
  expect(b).not.toEqual(a);
  peft.detach();
  expect(model.getLayer('new').trainable).toBe(true);
  expect(model.trainableWeights).toHaveLength(5);
  for (const layer of model.layers.slice(0, 2)) expect(before).toContain(layer);
  expect(popped.trainable).toBe(true);
  expect(popped.weights).toHaveLength(2);
  model.optimizer.dispose();
  expect(tf.memory().numTensors).toBe(numTensors + 2);
});

test('a layer of the name of one that was taken out is another layer', async () => {
  const model = sequential();
  const peft = await upgrade(model, {adapter: LORA, name: 'a', seed: 1});
  model.pop();
  model.add(dense('dense_100', 2, 9));
  expect(rows(peft)).toEqual(['dense_1 adapted 20', 'dense_10 adapted 22', 'dense_100 trained 12']);
  await upgrade(model, {adapter: LORA, name: 'b', targets: ['dense_1'], alsoTrain: ['dense_100']});
  expect(rows(peft)).toEqual(['dense_1 adapted 20', 'dense_10 frozen 0', 'dense_100 trained 12']);
  peft.remove('b');
  peft.remove('a');
  await upgrade(model, {adapter: LORA, name: 'c'});
  expect(rows(peft)).toEqual(['dense_1 adapted 20', 'dense_10 adapted 22', 'dense_100 adapted 14']);
  peft.detach();
});

test('a layer that was taken out and put back carries its adapters as before', async () => {
  const model = sequential();
  const peft = await upgrade(model, {adapter: LORA, name: 'a', seed: 1});
  const expected = rows(peft);
  const head = model.layers.at(-1)!;
  model.pop();
  expect(rows(peft)).toEqual(expected.slice(0, 2));
  await upgrade(model, {adapter: LORA, name: 'b'});
  model.add(head);
  expect(rows(peft)).toEqual([...expected.slice(0, 2), 'dense_100 frozen 0']);
  peft.enable('a');
  expect(rows(peft)).toEqual(expected);
  expect((await peft.save(join(folder, 'back'))).tensors).toBe(6);
  peft.detach();
});

test("what came while no adapter was active is the base's", async () => {
  const model = sequential();
  const peft = await upgrade(model, {adapter: LORA, name: 'a', seed: 1});
  peft.disable();
  withNewHead(model);
  compile(model);
  peft.enable();
  expect(rows(peft)).toEqual(['dense_1 adapted 20', 'dense_10 adapted 22', 'new frozen 0']);
  expect(model.trainableWeights).toHaveLength(4);
  peft.detach();
  expect(model.getLayer('new').trainableWeights).toHaveLength(2);
});

test('changes in nested models are seen', async () => {
  const model = nested();
  const peft = await upgrade(model, {adapter: LORA, name: 'a'});
  const inner = model.getLayer('inner') as unknown as tfl.LayersModel;
  const deep = inner.getLayer('deep') as unknown as tfl.Sequential;
  deep.pop();
  deep.add(dense('other', 4, 8));
  expect(rows(peft).filter((row) => /deep/.test(row))).toEqual([
    'inner/deep/dense_1 adapted 22',
    'inner/deep/other trained 24',
  ]);
  peft.detach();
});

test('the report counts what is trained now', async () => {
  const model = sequential();
  const peft = await upgrade(model, {
    adapter: LORA,
    seed: 1,
    targets: ['dense_1', 'dense_10'],
    alsoTrain: ['dense_100'],
  });
  const all = ['dense_1 adapted 20', 'dense_10 adapted 22', 'dense_100 trained 18'];
  expect(rows(peft)).toEqual(all);
  model.getLayer('dense_10').trainable = false;
  expect(rows(peft)).toEqual([all[0], 'dense_10 adapted 0', all[2]]);
  model.getLayer('dense_10').trainable = true;
  model.getLayer('dense_100').trainable = false;
  expect(peft.report().trainable).toBe(42);
  model.getLayer('dense_100').trainable = true;
  model.trainable = false;
  expect(peft.report()).toMatchObject({trainable: 0, share: 0});
  expect(peft.trainableVariables()).toEqual([]);
  model.trainable = true;
  expect(rows(peft)).toEqual(all);
  peft.disable();
  expect(rows(peft)).toEqual(all);
});

test('values that a user sets are those that are saved, and hashed', async () => {
  const [model, other] = [sequential(), sequential()];
  const peft = await upgrade(model, {adapter: LORA, seed: 1, targets: ['dense_1'], alsoTrain: ['dense_100']});
  const changed = model.getWeights().map((weight, i) => tf.add(weight, 0.1 * i));
  model.setWeights(changed);
  const outputs = await predict(model);
  const place = join(folder, 'set');
  await peft.save(place);
  await expect(loadPeft(other, place)).rejects.toThrow(/other base weights.*'dense_1.bias' has other values/);
  other.setWeights(changed.slice(0, 5));
  const before = fingerprint(other);
  const loaded = await loadPeft(other, place);
  expect(await predict(other)).toEqual(outputs);
  loaded.detach();
  expectUnchanged(other, before);
});

test('an adapter of which the model has no site any more is not saved', async () => {
  const model = sequential();
  const peft = await upgrade(model, {adapter: LORA, targets: ['dense_100'], name: 'a'});
  withNewHead(model);
  await expect(peft.save(join(folder, 'none'))).rejects.toThrow(
    /Adapter 'a' cannot be saved: the model no longer has any of its layers/,
  );
  expect(rows(peft)).toEqual(['dense_1 frozen 0', 'dense_10 frozen 0', 'new trained 18']);
  peft.detach();
});
