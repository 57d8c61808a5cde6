import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/gradients';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {inspect, loadPeft, type Peft, upgrade} from '../../graph.js';
import {DIALECTS, X_SHAPE} from '../../graph-model/testing/graphs.js';
import {exportPlain} from '../../merge.js';
import {compile, inputsOf, nested, predict, sequential, train} from '../../testing/models.js';
import {disposeOptimizer} from '../tfjs/recompile.js';

/**
 * What holds of an upgrade whatever the kind of model: calls one after the other,
 * removing, and the end of the model.
 */
const LORA = {type: 'lora', rank: 2} as const;
const MOLORA = {type: 'molora', experts: 2, rank: 2} as const;

const DISPOSED = {name: 'ConfigError', message: expect.stringMatching(/disposed/)};

type Model = tfl.LayersModel | GraphModel;
type AnyPeft = Peft<Model>;

const up = upgrade as (model: Model, config: Parameters<typeof upgrade>[1]) => Promise<AnyPeft>;
const loadInto = loadPeft as (model: Model, ...rest: [string, object?]) => Promise<AnyPeft>;

const KINDS: [string, () => Promise<Model>][] = [
  ['LayersModel', async () => sequential()],
  ['GraphModel', async () => DIALECTS.fused!().load()],
];

async function outputs(model: Model): Promise<Float32Array> {
  if ('layers' in model) return predict(model);
  const x = tf.randomUniform([2, ...X_SHAPE.slice(1)], -1, 1, 'float32', 7);
  const y = model.predict(x) as tf.Tensor;
  const values = Float32Array.from(await y.data());
  tf.dispose([x, y]);
  return values;
}

/** Moves an adapter away from where it starts. */
function move(peft: AnyPeft, seed: number): void {
  peft.trainableVariables().forEach((variable, i) => {
    const value = tf.randomNormal(variable.shape, 0, 0.5, 'float32', seed + i);
    variable.assign(value);
    value.dispose();
  });
}

let folder: string;

beforeAll(async () => {
  await tf.setBackend('cpu');
  folder = await mkdtemp(join(tmpdir(), 'peft-'));
});

afterAll(() => rm(folder, {recursive: true}));

describe.each(KINDS)('a %s', (kind, make) => {
  const places = {a: '', b: ''};
  let alone: Record<'a' | 'b' | 'base', Float32Array>;

  beforeAll(async () => {
    const model = await make();
    alone = {base: await outputs(model)} as typeof alone;
    for (const [i, name] of (['a', 'b'] as const).entries()) {
      const peft = await up(model, {adapter: LORA, name, seed: 1});
      move(peft, 10 * (i + 1));
      alone[name] = await outputs(model);
      places[name] = join(folder, kind + name);
      await peft.save(places[name]);
    }
  });

  test('loads two adapters at once as one after the other', async () => {
    const model = await make();
    const [one, two] = await Promise.all([loadInto(model, places.a), loadInto(model, places.b)]);
    expect(one).toBe(two);
    expect(one.names).toEqual(['a', 'b']);
    expect(one.active).toBe('b');
    expect(await outputs(model)).toEqual(alone.b);
    one.enable('a');
    expect(await outputs(model)).toEqual(alone.a);
    one.disable();
    expect(await outputs(model)).toEqual(alone.base);
    two.detach();
    expect(await outputs(model)).toEqual(alone.base);
  });

  test('gives what calls give one by one, whatever is called at once', async () => {
    const model = await make();
    const place = join(folder, `${kind}c`);
    const first = up(model, {adapter: LORA, name: 'c', seed: 5});
    const refused = up(model, {adapter: LORA, name: 'c'}).catch((error: Error) => error);
    const missing = loadInto(model, join(folder, 'nowhere')).catch((error: Error) => error);
    const loaded = loadInto(model, places.a);
    const saved = first.then((peft) => peft.save(place));
    const last = up(model, {adapter: MOLORA, name: 'd'});
    const peft = await last;
    expect(String(await refused)).toMatch(/DuplicateNameError/);
    expect(String(await missing)).toMatch(/ConfigError/);
    expect(await loaded).toBe(peft);
    await saved;
    expect(peft.names).toEqual(['c', 'a', 'd']);
    const twice = await Promise.all([
      peft.save(place, {name: 'a'}),
      peft.save(place, {name: 'd'}),
      peft.load(place, {name: 'e'}),
    ]);
    expect(twice).toHaveLength(3);
    expect(peft.names).toEqual(['c', 'a', 'd', 'e']);
    expect(peft.report().adapter).toBe('e');
  });

  test('refuses what a call would do to an upgrade that has ended while it waited', async () => {
    const model = await make();
    const before = await outputs(model);
    const {numTensors} = tf.memory();
    for (const call of ['load', 'save'] as const) {
      const peft = await up(model, {adapter: LORA, name: 'a'});
      const late = peft[call](call === 'load' ? places.b : join(folder, `${kind}late`));
      const another = loadInto(model, places.a);
      peft.detach();
      if (call === 'load') await expect(late).rejects.toThrow(/ConfigError|was detached/);
      else await late.catch((error) => expect(String(error)).toMatch(/was detached/));
      const next = await another;
      expect(next).not.toBe(peft);
      expect(next.names).toEqual(['a']);
      expect(await outputs(model)).toEqual(alone.a);
      next.detach();
      expect(await outputs(model)).toEqual(before);
      expect(tf.memory().numTensors).toBe(numTensors);
    }
  });

  test('removes an adapter: the first that is left becomes active, or none', async () => {
    const model = await make();
    const {numTensors, numBytes} = tf.memory();
    const peft = await loadInto(model, places.a);
    await loadInto(model, places.b);
    await up(model, {adapter: MOLORA, name: 'c'});
    expect(() => peft.remove('x')).toThrow(/no adapter .x.. Use one of: 'a', 'b', 'c'/);
    peft.remove('c');
    expect(peft.active).toBe('a');
    expect(await outputs(model)).toEqual(alone.a);
    peft.enable('b');
    peft.remove('a');
    expect([peft.names, peft.active]).toEqual([['b'], 'b']);
    expect(await outputs(model)).toEqual(alone.b);
    await up(model, {adapter: LORA, name: 'a'});
    peft.disable();
    peft.remove('a');
    expect([peft.names, peft.active]).toEqual([['b'], null]);
    expect(await outputs(model)).toEqual(alone.base);
    peft.enable();
    expect(await outputs(model)).toEqual(alone.b);
    peft.remove('b');
    expect([peft.names, peft.active]).toEqual([[], null]);
    expect(await outputs(model)).toEqual(alone.base);
    expect(tf.memory()).toMatchObject({numTensors, numBytes});
    expect(() => peft.enable()).toThrow(/has no adapter/);
    expect(() => peft.report()).toThrow(/has no adapter/);
    await peft.load(places.a, {name: 'b'});
    expect(await outputs(model)).toEqual(alone.a);
    peft.detach();
    expect(tf.memory()).toMatchObject({numTensors, numBytes});
    expect(await outputs(model)).toEqual(alone.base);
  });

  test('a name is free again when its adapter was removed, as the error says', async () => {
    const model = await make();
    const peft = await up(model, {adapter: LORA, name: 'a'});
    await expect(up(model, {adapter: LORA, name: 'a'})).rejects.toThrow(/or call peft.remove\('a'\) first/);
    peft.remove('a');
    await up(model, {adapter: LORA, name: 'a'});
    expect(peft.names).toEqual(['a']);
  });

  test('disposed, leaves nothing behind, and can no longer be used', async () => {
    const life = async (ready: (peft: AnyPeft, model: Model) => unknown) => {
      const model = await make();
      const peft = await up(model, {adapter: MOLORA, name: 'a'});
      await up(model, {adapter: {type: 'dora', rank: 2}, name: 'b'});
      await ready(peft, model);
      model.dispose();
      return {model, peft};
    };
    const tracked = async (peft: AnyPeft, model: Model) => {
      peft.setContext({task: tf.tensor1d([0])});
      peft.trackUsage();
      peft.enable('a');
      await outputs(model);
      await peft.save(join(folder, 'tracked'));
    };
    const task = tf.memory().numTensors + 1;
    await life(tracked);
    expect(tf.memory().numTensors).toBe(task);
    const {model, peft} = await life((all) => all.disable());
    expect(tf.memory().numTensors).toBe(task);
    for (const use of [
      () => peft.names,
      () => peft.active,
      () => peft.enable('a'),
      () => peft.disable(),
      () => peft.remove('a'),
      () => peft.detach(),
      () => peft.report(),
      () => peft.trainableVariables(),
      () => peft.setContext(null),
      () => peft.trackUsage(),
      () => inspect(model),
      () => peft.save(folder),
      () => peft.load(places.a),
      () => exportPlain(peft, folder),
      () => peft.usage(),
      () => up(model, {adapter: LORA}),
      () => loadInto(model, places.a),
    ]) {
      await expect(async () => use()).rejects.toMatchObject(DISPOSED);
    }
    expect(tf.memory().numTensors).toBe(task);
  });

  test('disposed while it is saved or loaded, says so', async () => {
    for (const call of ['save', 'load'] as const) {
      const model = await make();
      const peft = await up(model, {adapter: LORA, name: 'a'});
      const result = call === 'save' ? peft.save(join(folder, 'late')) : peft.load(places.b);
      const queued = peft.save(join(folder, 'later'));
      model.dispose();
      await result.catch((error) => expect(error).toMatchObject(DISPOSED));
      await expect(queued).rejects.toMatchObject(DISPOSED);
    }
  });
});

describe('a LayersModel that is trained', () => {
  const during = async (act: (peft: Peft, model: tfl.LayersModel) => unknown) => {
    const model = sequential();
    compile(model, tf.train.sgd(0.1));
    const peft = await upgrade(model, {adapter: LORA, name: 'a', seed: 1});
    await upgrade(model, {adapter: LORA, name: 'b', seed: 2});
    let message = '';
    const y = tf.randomUniform([5, 3], 0, 1, 'float32', 11);
    const {history} = await model.fit(inputsOf(model)[0]!, y, {
      epochs: 2,
      verbose: 0,
      callbacks: {
        onBatchEnd: async () => {
          try {
            await act(peft, model);
          } catch (error) {
            message = String(error);
          }
        },
      },
    });
    peft.enable('a');
    peft.detach();
    return {message, losses: history.loss};
  };

  const changes: Record<string, (peft: Peft, model: tfl.LayersModel) => unknown> = {
    enable: (peft) => peft.enable('a'),
    disable: (peft) => peft.disable(),
    remove: (peft) => peft.remove('a'),
    detach: (peft) => peft.detach(),
    load: (peft) => peft.load('anywhere'),
    'another upgrade': (_, model) => upgrade(model, {adapter: LORA, name: 'c'}),
    loadPeft: (_, model) => loadPeft(model, 'anywhere'),
    dispose: (_, model) => model.dispose(),
  };

  test.each(Object.keys(changes))('%s is refused, and training goes on', async (change) => {
    const {losses} = await during(() => {});
    expect(await during(changes[change]!)).toEqual({
      message: expect.stringMatching(/ConfigError: Model 'sequential' is being trained/),
      losses,
    });
  });

  test('can be saved, and its usage read', async () => {
    const {message} = await during(async (peft) => {
      peft.trackUsage();
      peft.setContext({task: tf.tensor1d([0])});
      await peft.usage();
      await peft.save(join(folder, 'checkpoint'));
    });
    expect(message).toBe('');
  });
});

test.each(['adam', 'momentum'])(
  'compiled with %s, trained and disposed, a LayersModel leaves nothing behind',
  async (kind) => {
    const life = async (make: () => tfl.LayersModel) => {
      const model = make();
      const own = kind === 'adam' ? undefined : tf.train.momentum(0.1, 0.9);
      compile(model, own ?? kind);
      await train(model, 1);
      const peft = await upgrade(model, {
        adapter: LORA,
        alsoTrain: [/head|dense_100/],
        targets: [/dense_1$/],
      });
      await train(model, 1);
      peft.disable();
      peft.enable();
      model.dispose();
      // A user's own optimizer stays theirs.
      if (own !== undefined) disposeOptimizer(own);
    };
    for (const make of [sequential, () => nested()]) {
      await life(make);
      const {numTensors, numBytes} = tf.memory();
      await life(make);
      expect(tf.memory()).toMatchObject({numTensors, numBytes});
    }
  },
);

test('adapters with different numbers of experts are counted each by itself', async () => {
  const model = sequential();
  const peft = await upgrade(model, {adapter: MOLORA, name: 'two', seed: 1});
  await upgrade(model, {adapter: {...MOLORA, experts: 3}, name: 'three', seed: 1});
  peft.trackUsage();
  await predict(model);
  const three = await peft.usage();
  peft.enable('two');
  await predict(model);
  await predict(model);
  const two = await peft.usage({reset: true});
  expect(two.map(({share, tokens}) => [share.length, tokens])).toEqual([
    [2, 10],
    [2, 10],
    [2, 10],
  ]);
  peft.enable('three');
  expect(await peft.usage()).toEqual(three);
  peft.detach();
});
