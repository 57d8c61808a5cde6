import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, PeftError, SafetensorsError, WeightMismatchError} from '@tfjs-peft/kernels';
import fc from 'fast-check';
import {loadPeft, type Peft, readSafetensors, upgrade, writeSafetensors} from '../../index.js';
import {
  compile,
  copy,
  expectUnchanged,
  fingerprint,
  nested,
  normalized,
  predict,
  sequential,
  train,
} from '../../testing/models.js';

const WEIGHTS = 'adapter_model.safetensors';
const CONFIG = 'adapter_config.json';
const molora = {type: 'molora', experts: 2, rank: 2} as const;

let root: string;
let saved: string;
let original: Peft;
let folders = 0;

beforeAll(async () => {
  await tf.setBackend('cpu');
  root = await mkdtemp(join(tmpdir(), 'peft-files-'));
  saved = join(root, 'saved');
  original = await trained(nested(), {seed: 1});
  await original.save(saved);
});

afterAll(() => rm(root, {recursive: true}));

async function trained(model: tfl.LayersModel, config: object = {}): Promise<Peft> {
  const peft = await upgrade(model, {adapter: molora, ...config});
  compile(model, tf.train.adam(0.05));
  await train(model, 2);
  return peft;
}

/** A copy of the saved folder, to be spoiled. */
async function folder(): Promise<string> {
  const place = join(root, `copy-${folders++}`);
  await cp(saved, place, {recursive: true});
  return place;
}

// biome-ignore lint/suspicious/noExplicitAny: JSON that is about to be spoiled.
type Fields = any;

async function edit(place: string, change: (config: Fields) => unknown): Promise<void> {
  await editWeights(place, () => {});
  const config = JSON.parse(await readFile(join(place, CONFIG), 'utf8'));
  await writeFile(join(place, CONFIG), JSON.stringify(change(config) ?? config));
}

/** Rewrites the weights, without the copy of the config that they carry. */
async function editWeights(
  place: string,
  change: (tensors: Map<string, {shape: number[]; values: Float32Array}>) => void,
): Promise<void> {
  const {tensors} = readSafetensors(await readFile(join(place, WEIGHTS)));
  change(tensors as never);
  await writeFile(join(place, WEIGHTS), writeSafetensors(tensors as never));
}

async function refuses(
  model: tfl.LayersModel,
  place: string | tf.io.IOHandler,
  type: typeof PeftError,
  message: RegExp,
  load: (from: typeof place) => Promise<unknown> = (from) => loadPeft(model, from),
): Promise<void> {
  const before = fingerprint(model);
  const {numTensors, numBytes} = tf.memory();
  const loading = load(place);
  await expect(loading).rejects.toBeInstanceOf(type);
  await expect(loading).rejects.toThrow(message);
  expectUnchanged(model, before);
  expect(tf.memory()).toMatchObject({numTensors, numBytes});
}

describe('a file is refused, and the model left alone:', () => {
  const key = 'inner/deep/dense_1.lora_B';
  test.each<[string, (place: string) => Promise<void>, typeof PeftError, RegExp]>([
    [
      'a missing tensor',
      (at) => editWeights(at, (t) => t.delete(key)),
      WeightMismatchError,
      /'inner\/deep\/dense_1.lora_B' is missing/,
    ],
    [
      'an extra tensor',
      (at) => editWeights(at, (t) => t.set('x.y', {shape: [1], values: Float32Array.of(1)})),
      WeightMismatchError,
      /'x.y' is not expected/,
    ],
    [
      'a misshaped tensor',
      (at) => editWeights(at, (t) => t.set(key, {shape: [5, 4], values: new Float32Array(20)})),
      WeightMismatchError,
      /has shape \[5,4\], but must have \[4,5\]/,
    ],
    [
      'other values',
      (at) => editWeights(at, (t) => t.get(key)!.values.fill(1)),
      WeightMismatchError,
      /SHA-256 differs/,
    ],
    [
      'truncated weights',
      async (at) => writeFile(join(at, WEIGHTS), (await readFile(join(at, WEIGHTS))).subarray(0, -3)),
      SafetensorsError,
      /truncated/,
    ],
    [
      'weights that are none',
      (at) => writeFile(join(at, WEIGHTS), 'not a safetensors file'),
      SafetensorsError,
      /header/,
    ],
    ['no weights', (at) => rm(join(at, WEIGHTS)), ConfigError, /Cannot read .*adapter_model.safetensors/],
    ['no config', (at) => rm(join(at, CONFIG)), ConfigError, /Cannot read .*adapter_config.json/],
    ['no folder', (at) => rm(at, {recursive: true}), ConfigError, /Pass the folder that save wrote/],
    ['a config that is no JSON', (at) => writeFile(join(at, CONFIG), '{"format":'), ConfigError, /not JSON/],
    ['a config that is a list', (at) => writeFile(join(at, CONFIG), '[]'), ConfigError, /must be/],
    [
      'a config of something else',
      (at) => edit(at, () => ({peft_type: 'LORA', r: 8})),
      ConfigError,
      /format must be 'tfjs-peft'/,
    ],
    [
      'a later schema',
      (at) =>
        edit(at, (c) => {
          c.schema = 2;
        }),
      ConfigError,
      /schema is 2.*Update/,
    ],
    [
      'a config without sites',
      (at) =>
        edit(at, (c) => {
          c.sites = [];
        }),
      ConfigError,
      /sites/,
    ],
    [
      'a broken shape',
      (at) =>
        edit(at, (c) => {
          c.sites[0].shape = [4, -6];
        }),
      ConfigError,
      /sites/,
    ],
    [
      'a site twice',
      (at) =>
        edit(at, (c) => {
          c.sites[1] = c.sites[0];
        }),
      ConfigError,
      /twice/,
    ],
    [
      'no base',
      (at) =>
        edit(at, (c) => {
          delete c.base;
        }),
      ConfigError,
      /base/,
    ],
    [
      'an unknown adapter',
      (at) =>
        edit(at, (c) => {
          c.adapter.type = 'toString';
        }),
      ConfigError,
      /toString/,
    ],
    [
      'an adapter of another rank',
      (at) =>
        edit(at, (c) => {
          c.adapter.rank = 3;
        }),
      WeightMismatchError,
      /'inner\/wide.lora_A' is \[4,6\] in the adapter, but \[4,4\] in the file/,
    ],
    [
      'an adapter with other weights',
      (at) =>
        edit(at, (c) => {
          c.adapter = {type: 'lora', rank: 4};
        }),
      WeightMismatchError,
      /has no weight 'inner\/wide.router'/,
    ],
  ])('%s', async (_what, spoil, type, message) => {
    const place = await folder();
    await spoil(place);
    await refuses(nested(), place, type, message);
    const peft = await upgrade(nested(), {adapter: molora});
    await refuses(peft.model, place, PeftError, /./, (from) => peft.load(from as string));
  });

  test.each<[string, () => tfl.LayersModel, RegExp]>([
    [
      'of another model',
      sequential,
      /layer 'inner\/wide' is missing in the model; layer 'inner\/deep\/dense_1' is missing.*Load it into the model/,
    ],
    [
      'of a model that is wider',
      () => nested(7),
      /layer 'inner\/wide' is \[4,7\] in the model, but \[4,6\] in the file/,
    ],
    [
      'of a model with other values',
      () => nested(6, 50),
      /other base weights: 'inner\/wide.kernel' has other values.*\{ignoreBase: true\}/,
    ],
  ])('%s', async (_what, make, message) => {
    await refuses(make(), saved, WeightMismatchError, message);
  });

  test("that does not fit the model's adapter of that name", async () => {
    const load = (peft: Peft) => (from: unknown) => peft.load(from as string);
    for (const [config, message] of [
      [{adapter: {...molora, alpha: 3}}, /"alpha":3.*"alpha":4.*\{name: 'other'\}/],
      [{adapter: molora, targets: ['inner']}, /site 'head' does not carry this adapter/],
      [{adapter: molora, targets: ['inner'], alsoTrain: ['head']}, /site 'head' does not carry this adapter/],
      [
        {adapter: molora, overrides: [{targets: ['head'], adapter: {type: 'ia3'}}]},
        /site 'head' has \{"type":"ia3"/,
      ],
    ] as const) {
      const peft = await upgrade(nested(), config as never);
      await refuses(peft.model, saved, WeightMismatchError, message, load(peft));
    }
    const peft = await upgrade(nested(), {adapter: {type: 'ia3'}});
    await peft.load(saved, {name: 'other'});
    expect(peft.names).toEqual(['default', 'other']);
    expect(peft.active).toBe('other');
    expect(await predict(peft.model)).toEqual(await predict(original.model));
  });

  test('damaged in any byte: nothing, or the very adapter, is loaded', async () => {
    const model = nested();
    const before = fingerprint(model);
    const files = [await readFile(join(saved, WEIGHTS)), await readFile(join(saved, CONFIG))] as const;
    const place = await folder();
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.nat(), fc.integer({min: 1, max: 255}), async (which, at, flip) => {
        const bytes = Buffer.from(files[which ? 0 : 1]);
        bytes[at % bytes.length]! ^= flip;
        await writeFile(join(place, WEIGHTS), which ? bytes : files[0]);
        await writeFile(join(place, CONFIG), which ? files[1] : bytes);
        try {
          const peft = await loadPeft(model, place);
          expect(await predict(model)).toEqual(await predict(original.model));
          peft.detach();
        } catch (error) {
          expect(error).toBeInstanceOf(PeftError);
          refused++;
        }
        expectUnchanged(model, before);
      }),
      {numRuns: 150},
    );
    expect(refused).toBeGreaterThan(50);
  });
});

describe('a file is loaded', () => {
  test('with other base values, if that is wanted', async () => {
    const model = nested(6, 50);
    const peft = await loadPeft(model, saved, {ignoreBase: true});
    const values = (of: Peft) => of.trainableVariables().map((variable) => [...variable.dataSync()]);
    expect(values(peft)).toEqual(values(original));
  });

  test('with overrides, and layers that were trained in full', async () => {
    const base = normalized();
    const fresh = await copy(base);
    const peft = await trained(base, {
      adapter: {type: 'lora', rank: 2},
      targets: ['first'],
      overrides: [{targets: ['first'], adapter: {rank: 1, alpha: 3}}],
      alsoTrain: ['head', 'batch_norm'],
    });
    const place = join(root, 'trained');
    const result = await peft.save(place);
    expect(result).toMatchObject({tensors: 2 + 2 + 4, bytes: 4 * (10 + 21 + 24)});
    const again = await loadPeft(fresh, place);
    expect(await predict(fresh)).toEqual(await predict(base));
    expect(again.report().sites).toMatchObject(peft.report().sites.map(({reason: _, ...site}) => site));

    const without = await upgrade(normalized(), {
      adapter: {type: 'lora', rank: 1, alpha: 3},
      targets: ['first'],
    });
    await refuses(
      without.model,
      place,
      WeightMismatchError,
      /'head' is trained in full in the file, but not in the model/,
      (from) => without.load(from as string),
    );
  });

  test('as one of many, and switched', async () => {
    const model = nested();
    const stock = await predict(model);
    const peft = await loadPeft(model, saved);
    await peft.load(saved, {name: 'second'});
    expect(peft.names).toEqual(['default', 'second']);
    await upgrade(model, {adapter: {type: 'ia3'}, name: 'third', targets: ['head']});
    const start = await predict(model);
    expect(start.every((value, i) => Math.abs(value - stock[i]!) < 1e-5)).toBe(true);
    peft.enable('default');
    expect(await predict(model)).toEqual(await predict(original.model));
    expect(() => peft.enable('fourth')).toThrow(/no adapter 'fourth'.*'default', 'second', 'third'/);
    expect(peft.active).toBe('default');
    peft.disable();
    expect(peft.active).toBeNull();
    expect(await predict(model)).toEqual(stock);
    await peft.save(join(root, 'while-disabled'));
    await expect(peft.save(join(root, 'x'), {name: 'nobody'})).rejects.toBeInstanceOf(ConfigError);
    peft.detach();
  });

  test('over weights that were trained further', async () => {
    const model = nested();
    const peft = await loadPeft(model, saved);
    compile(model, tf.train.adam(0.1));
    await train(model, 1);
    expect(await predict(model)).not.toEqual(await predict(original.model));
    await peft.load(saved);
    expect(await predict(model)).toEqual(await predict(original.model));
  });

  test('whatever the order of the keys in its config', async () => {
    const place = await folder();
    const config = JSON.parse(await readFile(join(place, CONFIG), 'utf8'));
    await writeFile(
      join(place, CONFIG),
      JSON.stringify(Object.fromEntries(Object.entries(config).reverse())),
    );
    const model = nested();
    await loadPeft(model, place);
    expect(await predict(model)).toEqual(await predict(original.model));
  });

  test('after a crash between the two files of a later save', async () => {
    const place = await folder();
    const model = nested();
    const peft = await loadPeft(model, saved);
    compile(model, tf.train.adam(0.1));
    await train(model, 1);
    const later = join(root, 'later');
    await peft.save(later);
    await cp(join(later, WEIGHTS), join(place, WEIGHTS));
    const fresh = nested();
    await loadPeft(fresh, place);
    expect(await predict(fresh)).toEqual(await predict(model));
  });

  test('through an IOHandler', async () => {
    let stored: tf.io.ModelArtifacts | undefined;
    const handler: tf.io.IOHandler = {
      async save(artifacts) {
        stored = JSON.parse(JSON.stringify(artifacts)) as tf.io.ModelArtifacts;
        stored.weightData = (artifacts.weightData as ArrayBuffer).slice(0);
        return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
      },
      load: async () => stored!,
    };
    await original.save(handler);
    const model = nested();
    await loadPeft(model, handler);
    expect(await predict(model)).toEqual(await predict(original.model));
    const sound = stored!;
    for (const [change, message] of [
      [{weightData: (sound.weightData as ArrayBuffer).slice(4)}, /end inside 'head.router'/],
      [{weightSpecs: sound.weightSpecs!.slice(1)}, /bytes after/],
      [{weightSpecs: sound.weightSpecs!.map((spec) => ({...spec, dtype: 'int32'}))}, /not one plain float32/],
      [{modelTopology: {}}, /format/],
      [{weightData: undefined}, /end inside 'inner\/wide.lora_A'/],
    ] as const) {
      stored = {...sound, ...change} as tf.io.ModelArtifacts;
      await refuses(nested(), handler, PeftError, message);
    }
  });

  test('from the web', async () => {
    const server = createServer(async (request, response) => {
      const bytes = await readFile(join(saved, request.url!.replace('/adapter/', ''))).catch(() => undefined);
      response.statusCode = bytes === undefined ? 404 : 200;
      response.end(bytes);
    }).listen(0);
    try {
      const url = `http://localhost:${(server.address() as AddressInfo).port}`;
      const model = nested();
      await loadPeft(model, `${url}/adapter/`);
      expect(await predict(model)).toEqual(await predict(original.model));
      await refuses(nested(), `${url}/elsewhere`, ConfigError, /status 404/);
    } finally {
      server.close();
    }
  });
});

describe('a folder', () => {
  test('has both files and a model card, and no leftovers', async () => {
    const place = await folder();
    await original.save(`file://${place}`);
    expect((await readdir(place)).sort()).toEqual(['README.md', CONFIG, WEIGHTS]);
    const card = await readFile(join(place, 'README.md'), 'utf8');
    expect(card).toContain('`{"type":"molora","experts":2,"rank":2,"alpha":4,"router":{"type":"softmax"');
    expect(card).toContain('`inner/deep/dense_2` (5 x 4)');
    const {tensors, metadata} = readSafetensors(await readFile(join(place, WEIGHTS)));
    expect([...tensors.keys()].slice(0, 3)).toEqual([
      'inner/wide.lora_A',
      'inner/wide.lora_B',
      'inner/wide.router',
    ]);
    expect(metadata.get('format')).toBe('tfjs-peft');
  });

  test('that cannot be written to is a ConfigError, and keeps what it has', async () => {
    const place = join(root, 'blocked');
    await mkdir(join(place, CONFIG, 'in the way'), {recursive: true});
    const saving = original.save(place);
    await expect(saving).rejects.toBeInstanceOf(ConfigError);
    await expect(saving).rejects.toThrow(/Cannot write to folder/);
    expect((await readdir(place)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test.each(['gopher://x', 'indexeddb://x'])('is not %s', async (url) => {
    await expect(original.save(url)).rejects.toBeInstanceOf(ConfigError);
    await refuses(nested(), url, ConfigError, /No IO handler can load from/);
  });

  test('is not an object without methods', async () => {
    await expect(original.save({})).rejects.toThrow(/cannot|No IO handler can save/);
    await refuses(nested(), {} as tf.io.IOHandler, ConfigError, /No IO handler/);
  });
});

test('options that save and load do not know are refused', async () => {
  await expect(original.save(root, {nome: 'x'} as never)).rejects.toThrow(/unknown option 'nome'/);
  const model = nested();
  await refuses(model, saved, ConfigError, /unknown option 'ignorebase'/, (from) =>
    loadPeft(model, from, {ignorebase: true} as never),
  );
});

test('a Peft whose model was disposed refuses everything, and the model leaves no tensor behind', async () => {
  const {numTensors} = tf.memory();
  const model = nested();
  const peft = await upgrade(model, {adapter: molora});
  await upgrade(model, {adapter: {type: 'ia3'}, name: 'b', targets: ['head']});
  model.dispose();
  expect(tf.memory().numTensors).toBe(numTensors);
  expect(() => peft.detach()).toThrow(ConfigError);
  expect(() => peft.enable()).toThrow(/Model 'outer' is disposed/);
});

test('a Peft that was detached refuses everything', async () => {
  const peft = await upgrade(nested(), {adapter: molora});
  peft.detach();
  const uses = [
    () => peft.report(),
    () => peft.enable(),
    () => peft.disable(),
    () => peft.detach(),
    () => peft.trainableVariables(),
    () => peft.names,
    () => peft.active,
  ];
  for (const use of uses) {
    expect(use).toThrow(ConfigError);
    expect(use).toThrow(/model 'outer' was detached. Call upgrade/);
  }
  await expect(peft.save(root)).rejects.toThrow(/was detached/);
  await expect(peft.load(saved)).rejects.toThrow(/was detached/);
});
