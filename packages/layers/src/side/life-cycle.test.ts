import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/gradients';
import {trainer, upgrade} from '../graph.js';
import {quantizeModel} from '../quantize.js';
import {
  compile,
  expectUnchanged,
  fingerprint,
  MODELS,
  predict,
  SITE_MODELS,
  snapshot,
  train,
} from '../testing/models.js';
import {attachSideNetwork, loadSideNetwork, type SideConfig} from './attach.js';
import {normedGraph, X, Y} from './testing/models.js';

/** The life of a side network, over every kind of model: its base plain (ISMoE) and packed (MP-ISMoE). */
let folder: string;

beforeAll(async () => {
  await tf.setBackend('cpu');
  folder = mkdtempSync(join(tmpdir(), 'side-life-'));
});
afterAll(() => rmSync(folder, {recursive: true, force: true}));

const TAPS: Record<string, string[]> = {
  sequential: ['dense_1', 'dense_10'],
  shared: ['both', 'head'],
  nested: ['inner', 'head'],
  timeDistributed: ['tokens', 'each'],
  reused: ['joined', 'head'],
  normalized: ['first', 'dropout'],
  images: ['conv_10', 'conv'],
  text: ['words', 'both'],
};

test('there are taps for every model', () =>
  expect(Object.keys(TAPS)).toEqual([...Object.keys(MODELS), ...Object.keys(SITE_MODELS)]));

const cases = Object.entries({...MODELS, ...SITE_MODELS}).flatMap(([name, make]) =>
  [false, true].map((packed) => ({name, make, packed, label: packed ? 'MP-ISMoE' : 'ISMoE'})),
);

describe.each(cases)('$label beside $name', ({name, make, packed, label}) => {
  const config: SideConfig = {taps: TAPS[name]!, width: 4, heads: 2, hidden: 5, seed: 3};
  const base = async () => {
    const model = make();
    if (packed) await quantizeModel(model, {format: 'int8'});
    return model;
  };

  test('starts as the model, trains itself alone, and gives the model back', async () => {
    const model = await base();
    // A Sequential that is first run marks all its weights as trainable.
    const stock = await predict(model);
    model.layers.at(-1)!.trainable = false;
    const weights = new Map(snapshot(model).map((each) => [each.id, each]));
    const side = await attachSideNetwork(model, config);
    const own = side.trainableVariables();
    expect(own.reduce((sum, {size}) => sum + size, 0)).toBe(side.report().trainable);
    expect(await predict(model)).toEqual(stock);
    for (const touch of [() => {}, () => (model.trainable = false), () => (model.trainable = true)]) {
      touch();
      const optimizer = tf.train.adam(0.01);
      compile(model, optimizer);
      const [first, ...rest] = await train(model, 6);
      expect(rest.at(-1)).toBeLessThan(first!);
      expect(side.trainableVariables().map(({id}) => id)).toEqual(own.map(({id}) => id));
      for (const {id, bytes} of snapshot(model)) expect(bytes).toBe(weights.get(id)!.bytes);
      optimizer.dispose();
    }
    const trained = await predict(model);
    expect(trained).not.toEqual(stock);
    side.disable();
    expect(await predict(model)).toEqual(stock);
    side.enable();
    expect(await predict(model)).toEqual(trained);
    // An adapter does not come beside it, and changes nothing by trying.
    await expect(upgrade(model, {adapter: {type: 'lora', rank: 1}})).rejects.toThrow(/has a side network/);
    expect(await predict(model)).toEqual(trained);
    side.remove();
    expect(await predict(model)).toEqual(stock);
    for (const call of [() => side.enable(), () => side.report(), () => side.remove()])
      expect(call).toThrow(/was removed\. Call attachSideNetwork/);
    await expect(side.save(join(folder, 'never'))).rejects.toThrow(/was removed/);
    expect(snapshot(model)).toEqual([...weights.values()]);
  });

  test('leaves the very same layers and tensors behind, and goes with the model', async () => {
    // tfjs-layers itself leaves layers that are used twice.
    const twin = tf.memory().numTensors;
    (await base()).dispose();
    const all = tf.memory().numTensors;
    const model = await base();
    await predict(model);
    const before = fingerprint(model);
    const tensors = tf.memory().numTensors;
    const side = await attachSideNetwork(model, config);
    await predict(model);
    side.remove();
    expectUnchanged(model, before);
    expect(tf.memory().numTensors).toBe(tensors);
    const again = await attachSideNetwork(model, config);
    model.dispose();
    expect(() => again.enable()).toThrow(/disposed/);
    expect(tf.memory().numTensors - all).toBe(all - twin);
  });

  test('goes through a file into a fresh model, and into no other', async () => {
    const model = await base();
    const side = await attachSideNetwork(model, config);
    compile(model, tf.train.adam(0.01));
    await train(model);
    const place = join(folder, `${label}-${name}`);
    const {trainable} = side.report();
    expect((await side.save(place)).bytes).toBe(4 * trainable);
    const fresh = await base();
    const loaded = await loadSideNetwork(fresh, place);
    expect(await predict(fresh)).toEqual(await predict(model));
    compile(fresh, tf.train.adam(0.01));
    const [first, ...rest] = await train(fresh, 6);
    expect(rest.at(-1)).toBeLessThan(first!);
    await loaded.load(place);
    expect(await predict(fresh)).toEqual(await predict(model));
    const other = make();
    if (!packed) {
      const [weight] = other.weights;
      weight!.write(tf.onesLike(weight!.read()));
    }
    const before = fingerprint(other);
    await expect(loadSideNetwork(other, place)).rejects.toThrow(/saved with other base weights/);
    expectUnchanged(other, before);
  });
});

describe.each([false, true])('beside a GraphModel, packed: %s', (packed) => {
  const config = {taps: [1, 2, 3].map((i) => `block_${i}/out`), width: 4, heads: 2, hidden: 5, seed: 3};
  const base = async () => {
    const model = await normedGraph().load();
    if (packed) await quantizeModel(model, {format: 'int8'});
    return model;
  };
  const run = (model: GraphModel) =>
    tf.tidy(() => Float32Array.from((model.predict(X()) as tf.Tensor).dataSync()));

  test('it is trained, disabled, refused beside an adapter, and an adapter beside it', async () => {
    const model = await base();
    const stock = run(model);
    const side = await attachSideNetwork(model, config);
    const training = trainer(model, {loss: 'meanSquaredError', optimizer: tf.train.adam(0.02)});
    const fit = () => training.fit({xs: X(8), ys: Y(8)}, {epochs: 3, verbose: 0});
    const running = fit();
    for (const call of [() => side.disable(), () => side.remove(), () => model.dispose()])
      expect(call).toThrow(/is being trained/);
    await expect(quantizeModel(model, {format: 'int4'})).rejects.toThrow(/is being trained/);
    await running;
    const trained = run(model);
    side.disable();
    expect(run(model)).toEqual(stock);
    await expect(fit()).rejects.toThrow(/nothing to train/);
    side.enable();
    expect(run(model)).toEqual(trained);
    await fit();
    await expect(upgrade(model, {adapter: {type: 'lora', rank: 1}})).rejects.toThrow(/has a side network/);
    side.remove();
    expect(run(model)).toEqual(stock);
    const peft = await upgrade(model, {adapter: {type: 'lora', rank: 1}});
    await expect(attachSideNetwork(model, config)).rejects.toThrow(/has adapters\. Call detach\(\)/);
    peft.detach();
    (await attachSideNetwork(model, config)).remove();
    expect(run(model)).toEqual(stock);
  });
});
