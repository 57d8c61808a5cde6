import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, PeftError, SafetensorsError, WeightMismatchError} from '@tfjs-peft/kernels';
import {type AdapterConfig, loadPeft, readSafetensors, upgrade, writeSafetensors} from '../../index.js';
import {expectUnchanged, fingerprint, sequential} from '../../testing/models.js';

const WEIGHTS = 'adapter_model.safetensors';
const CONFIG = 'adapter_config.json';

let root: string;
let folders = 0;

beforeAll(async () => {
  await tf.setBackend('cpu');
  root = mkdtempSync(join(tmpdir(), 'peft-hostile-'));
  for (const [name, adapter] of Object.entries(ADAPTERS)) {
    await (await upgrade(sequential(), {adapter, targets: ['dense_1'], seed: 1})).save(join(root, name));
  }
});

afterAll(() => rmSync(root, {recursive: true}));

const ADAPTERS: Record<string, AdapterConfig> = {
  mov: {type: 'mov', experts: 2},
  molora: {type: 'molora', experts: 2, rank: 2},
  lime: {type: 'lime', experts: 2, over: {type: 'lora', rank: 2}},
};

function copy(name = 'molora'): string {
  const place = join(root, `copy-${folders++}`);
  cpSync(join(root, name), place, {recursive: true});
  return place;
}

// biome-ignore lint/suspicious/noExplicitAny: JSON that is about to be spoiled.
type Fields = any;

/** Writes both copies of a folder's config. */
function rewrite(place: string, text: string, embedded = text): void {
  const {tensors} = readSafetensors(readFileSync(join(place, WEIGHTS)));
  const metadata = new Map([['config', embedded]]);
  writeFileSync(join(place, WEIGHTS), writeSafetensors(tensors as never, metadata));
  writeFileSync(join(place, CONFIG), text);
}

function edited(name: string, change: (config: Fields) => unknown): string {
  const place = copy(name);
  const config = JSON.parse(readFileSync(join(place, CONFIG), 'utf8'));
  rewrite(place, JSON.stringify(change(config) ?? config));
  return place;
}

/** A folder whose adapter's config, or the file's, has these fields instead. */
const adapterWith = (name: string, fields: object) =>
  edited(name, (c) => ({...c, adapter: {...c.adapter, ...fields}}));
const fileWith = (name: string, fields: object) => edited(name, (c) => ({...c, ...fields}));

/**
 * The error of loading a place; the model stays as it was, and the answer comes at once and from little
 * memory.
 */
async function refusal(from: string | tf.io.IOHandler): Promise<PeftError> {
  const model = sequential();
  const before = fingerprint(model);
  // What this process used, since others may be at work.
  const start = process.cpuUsage();
  const memory = process.memoryUsage().rss;
  const error = await loadPeft(model, from).then(
    () => undefined,
    (error) => error as PeftError,
  );
  expect(error).toBeInstanceOf(PeftError);
  const {user, system} = process.cpuUsage(start);
  expect((user + system) / 1000).toBeLessThan(2000);
  expect(process.memoryUsage().rss - memory).toBeLessThan(300e6);
  expectUnchanged(model, before);
  return error!;
}

const ROUTERS: Record<string, object> = {
  fixed: {type: 'fixed'},
  task: {type: 'task'},
  softmax: {type: 'softmax'},
  'expert-choice': {type: 'expert-choice'},
  composite: {type: 'composite', routers: [{type: 'fixed'}, {type: 'task'}]},
};

describe('a small file that asks for very much is refused at once:', () => {
  const COUNTS = [60_000, 3e7, 1e9, 2 ** 53 - 1];
  it.each(Object.keys(ROUTERS).flatMap((router) => COUNTS.map((experts) => [router, experts] as const)))(
    'router %s with %d experts',
    async (router, experts) => {
      for (const name of Object.keys(ADAPTERS)) {
        const place = edited(name, ({adapter}) => {
          adapter.experts = experts;
          adapter.router = {...ROUTERS[router], experts};
        });
        const error = await refusal(place);
        expect([ConfigError, WeightMismatchError].some((type) => error instanceof type)).toBe(true);
      }
    },
  );

  it.each([1e9, 60_000])('rank %d', async (rank) => {
    await refusal(adapterWith('molora', {rank}));
    await refusal(adapterWith('lime', {over: {type: 'lora', rank}}));
    await refusal(adapterWith('lime', {over: {type: 'prompt', virtualTokens: rank}}));
    await refusal(fileWith('molora', {overrides: [{site: 'dense_1', adapter: {rank}}]}));
  });
});

describe('a config', () => {
  const nested = (depth: number) => {
    let router: object = {type: 'softmax', experts: 2};
    for (let i = 0; i < depth; i++) router = {type: 'composite', experts: 2, routers: [router]};
    return router;
  };
  const deepText = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

  it.each<[string, () => string, RegExp]>([
    ['nested 40 deep', () => adapterWith('molora', {router: nested(40)}), /deeper than 32/],
    ['nested 1,500 deep', () => adapterWith('molora', {router: nested(1500)}), /deeper than 32/],
    [
      'of 40,000 routers side by side',
      () =>
        adapterWith('molora', {router: {type: 'composite', routers: Array(40_000).fill({type: 'fixed'})}}),
      /values|more than 64 routers/,
    ],
    ['with a long type', () => adapterWith('molora', {type: 'x'.repeat(4e6)}), /characters|Unknown adapter/],
    [
      'with a deep unknown field',
      () => adapterWith('molora', {extra: JSON.parse(deepText(1000))}),
      /deeper than 32/,
    ],
    [
      'with a deep field beside all that is known',
      () => fileWith('molora', {extra: JSON.parse(deepText(1000))}),
      /deeper than 32/,
    ],
    [
      'with the same override many times',
      () => fileWith('molora', {overrides: Array(5000).fill({site: 'dense_1', adapter: ADAPTERS.molora})}),
      /overrides must be of sites of the file, each once/,
    ],
    [
      'with 10,000 unknown sites',
      () =>
        edited('molora', (c) => {
          for (let i = 0; i < 10_000; i++)
            c.sites.push({name: `s${i}`, kind: 'dense', shape: [1, 1], weights: []});
        }),
      /layer 's0' is missing in the model/,
    ],
    ['with alpha beyond float32', () => adapterWith('molora', {alpha: 1e308}), /alpha is 1e\+308/],
    ['with alpha that float32 makes 0', () => adapterWith('molora', {alpha: 1e-50}), /alpha is 1e-50/],
    ['with a router that is null', () => adapterWith('molora', {router: null}), /router is null/],
    ['with experts that are null', () => adapterWith('molora', {experts: null}), /experts is null/],
  ])('%s is refused', async (_, make, message) => {
    expect((await refusal(make())).message).toMatch(message);
  });

  it.each<[string, (text: string) => string, RegExp]>([
    ['a key twice', (text) => text.replace('"rank":', '"rank":8,"rank":'), /the key 'rank' twice/],
    [
      'a key twice, once escaped',
      (text) => text.replace('"rank":', '"\\u0072ank":8,"rank":'),
      /'rank' twice/,
    ],
    [
      'a million sites',
      (text) => text.replace('"sites":[', `"sites":[${'{},'.repeat(1e6)}`),
      /more than 100000 values/,
    ],
    ['more than ten million letters', (text) => text + ' '.repeat(1e7), /longer than 10000000 letters/],
    [
      'a million brackets',
      (text) => text.replace('"sites":[', `"sites":${'['.repeat(1e6)}`),
      /deeper than 32/,
    ],
  ])('with %s is refused, in either file', async (_, change, message) => {
    const place = copy();
    const text = JSON.stringify(JSON.parse(readFileSync(join(place, CONFIG), 'utf8')));
    writeFileSync(join(place, CONFIG), change(text));
    expect((await refusal(place)).message).toMatch(message);
    if (change(text).length > 9e6) return;
    rewrite(place, text, change(text));
    expect((await refusal(place)).message).toMatch(message);
  });

  it('from an IO handler is bounded too', async () => {
    const endless: Record<string, unknown> = {};
    endless.self = endless;
    const give = (modelTopology: object) => ({load: async () => ({modelTopology})});
    expect((await refusal(give(endless))).message).toMatch(/deeper than 32/);
    expect((await refusal(give({sites: Array(300_000).fill(1)}))).message).toMatch(/more than 100000 values/);
    expect((await refusal(give(new ArrayBuffer(8)))).message).toMatch(/is a ArrayBuffer/);
  });
});

describe('weights', () => {
  /** A file whose header is this text. */
  const withHeader = (text: string | Buffer): string => {
    const place = copy();
    const header = Buffer.from(text);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(join(place, WEIGHTS), Buffer.concat([length, header]));
    return place;
  };

  it.each<[string, () => string, RegExp]>([
    ['of 99 MB', () => `{"a":"${'x'.repeat(99e6)}"}`, /more than 10000000 is not allowed/],
    [
      'full of small entries',
      () => `{${Array.from({length: 8e5}, (_, i) => `"${i}":{}`).join(',')}}`,
      /more than 100000 values/,
    ],
    ['full of equal keys', () => `{${'"a":1,'.repeat(9e4)}"a":1}`, /'a' twice/],
    [
      'full of keys',
      () => `{${Array.from({length: 9e4}, (_, i) => `"${i}":1`).join(',')}}`,
      /its entry is 1/,
    ],
    ['full of brackets', () => '['.repeat(9e6), /deeper than 32/],
    ['full of commas', () => `[${'1,'.repeat(4e6)}1]`, /more than 100000 values/],
    ['full of spaces', () => `{${' '.repeat(9e6)}}`, /SHA-256|missing/],
    ['with one endless key', () => `{"${'k'.repeat(9e6)}":3}`, /'k+…': its entry is 3/],
    ['with one endless dtype', () => `{"t":{"dtype":"${'k'.repeat(9e6)}"}}`, /dtype 'k+…' cannot/],
    [
      'with an endless shape',
      () => `{"t":{"dtype":"F32","shape":[${'1,'.repeat(9e4)}1],"data_offsets":[0,4]}}`,
      /only 0 bytes/,
    ],
    ['with quotes that never end', () => `{"${'\\"'.repeat(4e6)}`, /not JSON/],
    ['not in UTF-8', () => '\ud800', /not JSON|UTF-8/],
  ])('with a header %s are refused at once', async (_, header, message) => {
    const place = withHeader(header());
    const error = await refusal(place);
    expect(error.message).toMatch(message);
    expect(error.message.length).toBeLessThan(1000);
  });

  it('of a huge file that is none are refused by its first bytes', async () => {
    const place = withHeader('{}');
    truncateSync(join(place, WEIGHTS), 3e9);
    expect((await refusal(place)).message).toMatch(/bytes after the last tensor/);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'that are %d are named',
    async (value) => {
      const {model} = await upgrade(sequential(), {adapter: ADAPTERS.molora!, targets: ['dense_1'], seed: 1});
      const peft = await upgrade(model, {adapter: ADAPTERS.molora!, name: 'second', targets: ['dense_1']});
      const [a] = peft.trainableVariables();
      a!.assign(tf.fill(a!.shape, value));
      const place = join(root, `not-finite-${value}`);
      await expect(peft.save(place)).rejects.toThrow(
        /'dense_1\.lora_A' has (NaN|-?Infinity) at position 0.*learning rate/,
      );
      await expect(peft.save(place)).rejects.toThrow(WeightMismatchError);
      // As an earlier version would have saved them.
      const {digest} = jest.requireActual<typeof import('../io/storage.js')>('../io/storage.js');
      const spoiled = copy();
      const {tensors, metadata} = readSafetensors(readFileSync(join(spoiled, WEIGHTS)));
      tensors.get('dense_1.lora_B')!.values[3] = value;
      const config = JSON.parse(metadata.get('config')!);
      config.weightsSha256 = await digest(tensors as never);
      const text = JSON.stringify(config);
      writeFileSync(join(spoiled, WEIGHTS), writeSafetensors(tensors as never, new Map([['config', text]])));
      writeFileSync(join(spoiled, CONFIG), text);
      const error = await refusal(spoiled);
      expect(error).toBeInstanceOf(WeightMismatchError);
      expect(error.message).toMatch(/'dense_1\.lora_B' has (NaN|-?Infinity) at position 3/);
    },
  );
});

describe('writeSafetensors refuses before it writes:', () => {
  const good = {shape: [1], values: Float32Array.of(1)};
  it.each<[string, unknown, unknown, RegExp]>([
    [
      'a shape of two negative axes',
      [['t', {shape: [-1, -1], values: Float32Array.of(1)}]],
      [],
      /shape \[-1,-1\] is not a list/,
    ],
    ['a fractional axis', [['t', {shape: [0.5, 2], values: Float32Array.of(1)}]], [], /shape \[0.5,2\]/],
    ['a shape that is no list', [['t', {shape: 1, values: Float32Array.of(1)}]], [], /shape 1/],
    ['a sparse shape', [['t', {shape: Array(1), values: Float32Array.of(1)}]], [], /shape/],
    ['a shape of texts', [['t', {shape: ['1'], values: Float32Array.of(1)}]], [], /shape \['1'\]/],
    [
      'a shape that overflows',
      [['t', {shape: [2 ** 40, 2 ** 40], values: Float32Array.of(1)}]],
      [],
      /does not fit/,
    ],
    [
      'too many values',
      [['t', {shape: [1], values: Float32Array.of(1, 2)}]],
      [],
      /does not fit its 2 values/,
    ],
    [
      'a Float64Array',
      [['t', {shape: [1], values: Float64Array.of(1)}]],
      [],
      /a Float64Array.*must be a Float32Array/,
    ],
    ['an Int32Array', [['t', {shape: [1], values: Int32Array.of(1)}]], [], /a Int32Array/],
    ['a plain array', [['t', {shape: [1], values: [1]}]], [], /are \[1\]/],
    ['no values', [['t', {shape: []}]], [], /undefined/],
    ['no tensor', [['t', null]], [], /it is null/],
    ['a name that is a number', [[3, good]], [], /3.*must be a string/],
    ['a reserved name', [['__metadata__', good]], [], /reserves/],
    ['metadata that is a number', [['t', good]], [['a', 1]], /1 is not a string/],
    ['metadata that is nothing', [['t', good]], [['a', undefined]], /undefined is not a string/],
    ['a key of metadata that is a number', [['t', good]], [[1, 'a']], /1 is not a string/],
    [
      'a header that could not be read again',
      [['t', good]],
      [['a', 'x'.repeat(1e7)]],
      /too much to read it again/,
    ],
    ['names without end', [['t'.repeat(1e7), good]], [], /too much to read it again/],
  ])('%s', (_, tensors, metadata, message) => {
    const write = () => writeSafetensors(new Map(tensors as never), new Map(metadata as never));
    expect(write).toThrow(SafetensorsError);
    expect(write).toThrow(message);
  });

  it('what is no Map', () => {
    for (const bad of [{t: good}, [['t', good]], null]) {
      expect(() => writeSafetensors(bad as never)).toThrow(SafetensorsError);
      if (bad !== null) expect(() => writeSafetensors(new Map(), bad as never)).toThrow(SafetensorsError);
    }
  });
});
