import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/wasm';
import '@tfjs-peft/kernels/wasm-training';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {loadPeft, type Peft, upgrade} from '../../index.js';
import {
  compile,
  expectUnchanged,
  fingerprint,
  nested,
  normalized,
  predict,
  sequential,
  text,
  train,
} from '../../testing/models.js';

const lora = {type: 'lora', rank: 2} as const;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'peft-'));
});

afterAll(() => rm(folder, {recursive: true}));

/**
 * A model, what an adapter targets in it, and layers that it trains in full: with moving
 * averages, nested, in both directions.
 */
const cases: [string, () => tfl.LayersModel, string[], (string | RegExp)[]][] = [
  ['a head', sequential, ['dense_1'], ['dense_100']],
  ['a BatchNormalization and a LayerNormalization', normalized, ['first'], [/norm/, 'head']],
  ['a nested model', () => nested(), ['wide'], ['deep']],
  ['an LSTM in both directions', text, ['head'], ['both', 'words']],
];

describe.each(['cpu', 'wasm'])('what is trained beside an adapter, on %s', (backend) => {
  beforeAll(() => tf.setBackend(backend));

  describe.each(cases)('%s', (what, make, targets, alsoTrain) => {
    const both = {adapter: lora, targets, alsoTrain, seed: 1};
    let model: tfl.LayersModel;
    let before: unknown[];
    let outputs: Record<'base' | 'a' | 'b' | 'c', Float32Array>;
    let peft: Peft;
    let place: string;

    beforeAll(async () => {
      place = join(folder, backend + cases.findIndex(([name]) => name === what));
      model = make();
      compile(model, 'adam');
      before = fingerprint(model);
      const base = await predict(model);
      peft = await upgrade(model, {...both, name: 'a'});
      await train(model);
      const a = await predict(model);
      await upgrade(model, {...both, name: 'b'});
      await train(model, 5);
      const b = await predict(model);
      await upgrade(model, {adapter: lora, targets, name: 'c', seed: 1});
      await train(model, 1);
      outputs = {base, a, b, c: await predict(model)};
    }, 60000);

    afterAll(() => model.dispose());

    test('belongs to it, and is switched with it', async () => {
      expect(outputs.a).not.toEqual(outputs.b);
      for (const name of ['a', 'c', 'b', 'a'] as const) {
        peft.enable(name);
        expect(await predict(model)).toEqual(outputs[name]);
      }
      peft.disable();
      expect(await predict(model)).toEqual(outputs.base);
      peft.enable('b');
      expect(await predict(model)).toEqual(outputs.b);
    });

    test('an adapter that trains its own weights alone has the values of the base', async () => {
      const other = make();
      compile(other, 'adam');
      await upgrade(other, {adapter: lora, targets, name: 'c', seed: 1});
      await train(other, 1);
      expect(await predict(other)).toEqual(outputs.c);
      other.dispose();
    });

    test('is saved with it, whichever is active, and loaded with it', async () => {
      for (const active of ['a', 'b', null]) {
        if (active === null) peft.disable();
        else peft.enable(active);
        await peft.save(place, {name: 'a'});
        const fresh = make();
        const loaded = await loadPeft(fresh, place, {name: 'new'});
        expect(await predict(fresh)).toEqual(outputs.a);
        loaded.disable();
        expect(await predict(fresh)).toEqual(outputs.base);
        fresh.dispose();
      }
      peft.enable('b');
      await peft.save(join(place, 'c'), {name: 'c'});
      await peft.load(place, {name: 'from a file'});
      expect(await predict(model)).toEqual(outputs.a);
      peft.enable('b');
      expect(await predict(model)).toEqual(outputs.b);
      const fresh = make();
      await loadPeft(fresh, join(place, 'c'));
      expect(await predict(fresh)).toEqual(outputs.c);
      fresh.dispose();
    });

    test('is trained while the adapter is active, and no other', async () => {
      const values = () =>
        new Map(peft.trainableVariables().map((variable) => [variable.id, variable.dataSync().slice()]));
      peft.enable('a');
      const own = values();
      peft.enable('b');
      const others = values();
      expect([...own.keys()].filter((id) => others.has(id))).toEqual([]);
      await train(model, 2);
      for (const [id, now] of values()) expect(now).not.toEqual(others.get(id));
      peft.enable('a');
      expect(values()).toEqual(own);
    });

    test('ends with the upgrade: the base comes back', async () => {
      const {report} = {report: peft.report()};
      const trained = report.sites.filter(({status}) => status === 'trained');
      expect(trained.length).toBeGreaterThan(0);
      for (const {trainable} of trained) expect(trainable).toBeGreaterThan(0);
      peft.detach();
      expectUnchanged(model, before);
      expect(await predict(model)).toEqual(outputs.base);
    });
  });

  test('leaves nothing behind', async () => {
    const model = normalized();
    const {numTensors, numBytes} = tf.memory();
    const all = {adapter: lora, targets: ['first'], alsoTrain: ['head', 'batch_norm']};
    const peft = await upgrade(model, {...all, name: 'a'});
    await upgrade(model, {...all, name: 'b'});
    peft.enable('a');
    await expect(upgrade(model, {...all, name: 'a'})).rejects.toThrow(/already/);
    peft.detach();
    expect(tf.memory()).toMatchObject({numTensors, numBytes});
    model.dispose();
  });
});

describe('a layer that one adapter adapts and another trains in full', () => {
  beforeAll(() => tf.setBackend('cpu'));

  const adapts = {adapter: lora, targets: ['dense_100'], name: 'adapts', seed: 1};
  const trains = {adapter: lora, targets: ['dense_1'], alsoTrain: ['dense_100'], name: 'trains', seed: 1};

  test.each([
    ['is adapted first', [adapts, trains]],
    ['is trained first', [trains, adapts]],
  ])('has what each of them is (%s)', async (_, order) => {
    const model = sequential();
    compile(model);
    const before = fingerprint(model);
    const {numTensors} = tf.memory();
    const base = await predict(model);
    const outputs = new Map<string, Float32Array>();
    let peft!: Peft;
    for (const config of order) {
      peft = await upgrade(model, config);
      await train(model, 3);
      outputs.set(config.name, await predict(model));
    }
    const place = join(folder, 'both', order[0]!.name);
    for (const {name} of [trains, adapts, trains]) {
      peft.enable(name);
      expect(await predict(model)).toEqual(outputs.get(name));
      const {sites, trainable} = peft.report();
      expect(sites.map(({status}) => status)).toEqual(
        name === 'trains' ? ['adapted', 'frozen', 'trained'] : ['frozen', 'frozen', 'adapted'],
      );
      expect(trainable).toBe(name === 'trains' ? 20 + 18 : 16);
      await peft.save(join(place, name));
      const fresh = sequential();
      await loadPeft(fresh, join(place, name));
      expect(await predict(fresh)).toEqual(outputs.get(name));
      fresh.dispose();
    }
    peft.remove('adapts');
    expect(await predict(model)).toEqual(outputs.get('trains'));
    await train(model, 1);
    expect(await predict(model)).not.toEqual(outputs.get('trains'));
    await loadPeft(model, join(place, 'adapts'));
    expect(await predict(model)).toEqual(outputs.get('adapts'));
    await peft.load(join(place, 'trains'));
    expect(await predict(model)).toEqual(outputs.get('trains'));
    peft.disable();
    expect(await predict(model)).toEqual(base);
    peft.detach();
    expectUnchanged(model, before);
    expect(tf.memory().numTensors).toBe(numTensors);
  });
});

test("a file without a layer that the model's adapter trains in full is refused", async () => {
  const [model, other] = [sequential(), sequential()];
  const config = {adapter: lora, targets: ['dense_1']};
  const place = join(folder, 'without');
  await (await upgrade(model, config)).save(place);
  const peft = await upgrade(other, {...config, alsoTrain: ['dense_100']});
  const before = fingerprint(other);
  await expect(peft.load(place)).rejects.toThrow(
    /layer 'dense_100' is trained in full in the model, but not in the file/,
  );
  expectUnchanged(other, before);
});
