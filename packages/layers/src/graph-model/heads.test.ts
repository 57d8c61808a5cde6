import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/gradients';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, WeightMismatchError} from '@tfjs-peft/kernels';
import {loadPeft, trainer, upgrade} from '../graph.js';
import {DIALECTS, X_SHAPE} from './testing/graphs.js';

const LORA = {type: 'lora', rank: 2} as const;
const X = () => tf.randomUniform([6, ...X_SHAPE.slice(1)], -1, 1, 'float32', 7);
const Y = (units: number) => tf.randomUniform([6, 3, units], -1, 1, 'float32', 8);
const COMPILED = {loss: 'meanSquaredError', outputs: 'y'} as const;
const load = () => DIALECTS.fused!().load();
const dense = (units: number, name?: string) => tfl.layers.dense({units, ...(name && {name})});
const valuesOf = async (y: tf.Tensor | tf.Tensor[]) =>
  Promise.all([y].flat().map(async (each) => Array.from(await each.data())));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'heads-'));
});
afterEach(() => rm(folder, {recursive: true}));

/** An adapter and a head that were trained, in a file; and what they give. */
async function saved(head: tfl.layers.Layer, units: number): Promise<number[][]> {
  const model = await load();
  const peft = await upgrade(model, {adapter: LORA, seed: 1});
  const training = trainer(model, {...COMPILED, head, optimizer: tf.train.adam(0.05)});
  await training.fit({xs: X(), ys: Y(units)}, {epochs: 2, verbose: 0});
  const values = await valuesOf(await training.predict(X()));
  await peft.save(folder);
  training.dispose();
  return values;
}

const HEADS: Record<string, () => tfl.layers.Layer> = {
  'a layer without weights yet': () => dense(4),
  'a layer that was built': () => {
    const head = dense(4);
    head.build([null, 3, 5]);
    return head;
  },
  'a Sequential': () =>
    tfl.sequential({
      layers: [
        tfl.layers.dense({units: 5, activation: 'relu', inputShape: [3, 5]}),
        tfl.layers.batchNormalization(),
        tfl.layers.dense({units: 4}),
      ],
    }),
  'a model, part of which is frozen': () => {
    const input = tfl.input({shape: [3, 5]});
    const frozen = tfl.layers.dense({units: 5, trainable: false});
    const y = tfl.layers.dense({units: 4}).apply(frozen.apply(input)) as tfl.SymbolicTensor;
    return tfl.model({inputs: input, outputs: y});
  },
  'an LSTM': () => tfl.layers.lstm({units: 4, returnSequences: true, recurrentInitializer: 'glorotUniform'}),
};

describe.each(Object.keys(HEADS))('a head that is %s', (kind) => {
  it('is saved with its adapter, and comes back behind a fresh model', async () => {
    const before = await saved(HEADS[kind]!(), 4);
    const model = await load();
    await loadPeft(model, folder);
    const again = trainer(model, {...COMPILED, head: HEADS[kind]!()});
    expect(await valuesOf(await again.predict(X()))).toEqual(before);
    expect((await again.fit({xs: X(), ys: Y(4)}, {verbose: 0})).history.loss).toHaveLength(1);
  });
});

describe('the heads of trainers', () => {
  it('stay their callers’, with their weights, when a trainer is disposed', async () => {
    const head = dense(4);
    await saved(head, 4);
    expect(head.getWeights().map(({shape}) => shape)).toEqual([[5, 4], [4]]);
    const {numTensors} = tf.memory();
    head.dispose();
    expect(tf.memory().numTensors).toBe(numTensors - 2);
  });

  it('of other shapes than the file’s are refused with both, and nothing is lost', async () => {
    const before = await saved(dense(4), 4);
    const model = await load();
    const peft = await loadPeft(model, folder);
    const wrong = trainer(model, {...COMPILED, head: dense(2)});
    const error = await wrong.predict(X()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(WeightMismatchError);
    expect(String(error)).toMatch(/\[5,4\], \[4\] for 'head:y', but the layer has \[5,2\], \[2\]/);
    const beside = trainer(model, {...COMPILED, head: dense(2, 'other')});
    await beside.fit({xs: X(), ys: Y(2)}, {verbose: 0});
    await peft.save(folder);
    const fresh = await load();
    await loadPeft(fresh, folder);
    const again = trainer(fresh, {...COMPILED, head: dense(4)});
    expect(await valuesOf(await again.predict(X()))).not.toEqual(before);
    const other = trainer(fresh, {...COMPILED, head: dense(2, 'other')});
    expect(await valuesOf(await other.predict(X()))).toEqual(await valuesOf(await beside.predict(X())));
  });

  it('are kept in a file that is saved again without a trainer', async () => {
    const before = await saved(dense(4), 4);
    const peft = await loadPeft(await load(), folder);
    await peft.save(folder);
    const model = await load();
    const {numTensors} = tf.memory();
    const last = await loadPeft(model, folder);
    const again = trainer(model, {...COMPILED, head: dense(4)});
    expect(await valuesOf(await again.predict(X()))).toEqual(before);
    again.heads[0]!.dispose();
    again.dispose();
    last.detach();
    // One prediction and its inputs are this test's own.
    expect(tf.memory().numTensors - numTensors).toBe(2);
  });

  it('belong to an adapter: one trainer has each adapter’s in turn', async () => {
    const model = await load();
    const peft = await upgrade(model, {adapter: LORA, name: 'a', seed: 1});
    const training = trainer(model, {...COMPILED, head: dense(4), optimizer: tf.train.adam(0.05)});
    const outcome = async () => valuesOf(await training.predict(X()));
    await training.fit({xs: X(), ys: Y(4)}, {verbose: 0});
    const a = await outcome();
    await upgrade(model, {adapter: LORA, name: 'b', seed: 2});
    await training.fit({xs: X(), ys: tf.ones([6, 3, 4])}, {epochs: 3, verbose: 0});
    const b = await outcome();
    peft.enable('a');
    expect(await outcome()).toEqual(a);
    peft.enable('b');
    expect(await outcome()).toEqual(b);
    await peft.save(folder, {name: 'a'});
    const other = await load();
    await loadPeft(other, folder);
    expect(await valuesOf(await trainer(other, {...COMPILED, head: dense(4)}).predict(X()))).toEqual(a);
    peft.remove('a');
    expect(await outcome()).toEqual(b);
    peft.detach();
  });

  it('belong to an adapter: two trainers have one each', async () => {
    const model = await load();
    const peft = await upgrade(model, {adapter: LORA, name: 'a', seed: 1});
    const first = trainer(model, {...COMPILED, head: dense(4)});
    await first.fit({xs: X(), ys: Y(4)}, {verbose: 0});
    const a = await valuesOf(await first.predict(X()));
    await upgrade(model, {adapter: LORA, name: 'b', seed: 2});
    const second = trainer(model, {...COMPILED, head: dense(2)});
    await second.fit({xs: X(), ys: Y(2)}, {verbose: 0});
    const b = await valuesOf(await second.predict(X()));
    const places = {a: join(folder, 'a'), b: join(folder, 'b')};
    for (const name of ['a', 'b'] as const) await peft.save(places[name], {name});
    const fresh = await load();
    const both = await loadPeft(fresh, places.a);
    await both.load(places.b);
    expect(await valuesOf(await trainer(fresh, {...COMPILED, head: dense(2)}).predict(X()))).toEqual(b);
    both.enable('a');
    expect(await valuesOf(await trainer(fresh, {...COMPILED, head: dense(4)}).predict(X()))).toEqual(a);
  });

  it('are loaded into the trainer that has them now', async () => {
    const before = await saved(dense(4), 4);
    const model = await load();
    const peft = await loadPeft(model, folder);
    const training = trainer(model, {...COMPILED, head: dense(4), optimizer: tf.train.adam(0.1)});
    await training.fit({xs: X(), ys: Y(4)}, {verbose: 0});
    expect(await valuesOf(await training.predict(X()))).not.toEqual(before);
    await peft.load(folder);
    expect(await valuesOf(await training.predict(X()))).toEqual(before);
  });

  it('several of them have a name each', async () => {
    const model = await load();
    const peft = await upgrade(model, {adapter: LORA, seed: 1});
    const options = () => ({
      loss: 'meanSquaredError',
      outputs: ['y', 'y'],
      head: [dense(4), dense(2, 'B')],
    });
    const training = trainer(model, options());
    await training.fit({xs: X(), ys: {y: Y(4), B: Y(2)}}, {verbose: 0});
    const before = await valuesOf(await training.predict(X()));
    await peft.save(folder);
    const fresh = await load();
    await loadPeft(fresh, folder);
    expect(await valuesOf(await trainer(fresh, options()).predict(X()))).toEqual(before);
  });

  it('that are disposed cannot be saved, and their adapter says so', async () => {
    const model = await load();
    const peft = await upgrade(model, {adapter: LORA});
    const head = dense(4);
    await trainer(model, {...COMPILED, head}).predict(X());
    head.dispose();
    await expect(peft.save(folder)).rejects.toThrow(ConfigError);
    await expect(peft.save(folder)).rejects.toThrow(/'head:y' are disposed/);
    await trainer(model, {...COMPILED, head: dense(3)}).predict(X());
    await peft.save(folder);
  });

  it('are no layers of a LayersModel', async () => {
    await saved(dense(4), 4);
    const input = tfl.input({shape: [3, 4]});
    const names = ['first', 'second'];
    let y = input;
    for (const [i, name] of names.entries())
      y = tfl.layers.dense({units: [6, 5][i]!, name}).apply(y) as typeof y;
    const model = tfl.model({inputs: input, outputs: y});
    const rename = {'first/Relu': 'first', 'second/BiasAdd': 'second'};
    const loaded = loadPeft(model, folder, {rename, ignoreBase: true});
    await expect(loaded).rejects.toThrow(/'head:y' is missing in the model/);
  });
});
