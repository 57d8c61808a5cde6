import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createServer, type Server} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {gzipSync} from 'node:zlib';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, PeftError, SafetensorsError} from '@tfjs-peft/kernels';
import {loadPeft, type Peft, upgrade} from '../../index.js';
import {normalizeArtifacts} from '../../repair.js';
import {predict, sequential} from '../../testing/models.js';
import {addressIn, folderOf, webFolderOf} from '../io/storage-location.js';

const WEIGHTS = 'adapter_model.safetensors';
const CONFIG = 'adapter_config.json';

let root: string;
let saved: string;
let original: Peft;
let folders = 0;

beforeAll(async () => {
  await tf.setBackend('cpu');
  root = mkdtempSync(join(tmpdir(), 'peft-places-'));
  saved = join(root, 'saved');
  original = await upgrade(sequential(), {adapter: {type: 'lora', rank: 2}, seed: 1});
  for (const variable of original.trainableVariables()) variable.assign(tf.fill(variable.shape, 0.1));
  await original.save(saved);
});

afterAll(() => rmSync(root, {recursive: true}));

async function expectLoaded(from: string): Promise<void> {
  const model = sequential();
  await loadPeft(model, from);
  expect(await predict(model)).toEqual(await predict(original.model));
}

describe('the address of a file in a folder of the web', () => {
  it.each([
    ['https://host/a', 'https://host/a/f'],
    ['https://host/a/', 'https://host/a/f'],
    ['https://host/a///', 'https://host/a/f'],
    ['https://host', 'https://host/f'],
    ['https://host/a?sig=abc', 'https://host/a/f?sig=abc'],
    ['https://host/a/?sig=a/b&x=%2F', 'https://host/a/f?sig=a/b&x=%2F'],
    ['https://host/a?next=model.json', 'https://host/a/f?next=model.json'],
    ['https://host/a?b?c', 'https://host/a/f?b?c'],
    ['https://host/a#part', 'https://host/a/f'],
    ['https://host/a?sig=1#x?y', 'https://host/a/f?sig=1'],
    ['https://host/a%20b/ü', 'https://host/a%20b/ü/f'],
    ['HTTP://HOST/a', 'HTTP://HOST/a/f'],
    ['https://host/v1.json/a', 'https://host/v1.json/a/f'],
  ])('%s is right', (url, address) => {
    expect(webFolderOf(url)).toBe(url);
    expect(addressIn(url, 'f')).toBe(address);
  });

  it.each(['https://host/model.json', 'https://host/model.json?sig=1', 'https://host/model.json#a'])(
    '%s is a model of tfjs, and no folder',
    (url) => expect(webFolderOf(url)).toBeUndefined(),
  );

  it('is relative to the page where there are no folders', () => {
    expect(webFolderOf('adapters/a')).toBeUndefined();
    const own = process.getBuiltinModule;
    process.getBuiltinModule = undefined as never;
    try {
      for (const path of ['adapters/a', './a?v=2', '/adapters/a', '../a/'])
        expect(webFolderOf(path)).toBe(path);
      expect(webFolderOf('indexeddb://a')).toBeUndefined();
      expect(webFolderOf('file:///a')).toBeUndefined();
      expect(addressIn('./a?v=2', 'f')).toBe('./a/f?v=2');
    } finally {
      process.getBuiltinModule = own;
    }
  });
});

describe('a folder', () => {
  it.each([
    ['file://adapter', 'adapter'],
    ['file:///tmp/a', '/tmp/a'],
    ['FILE:///tmp/a', '/tmp/a'],
    ['file://localhost/tmp/a', '/tmp/a'],
    ['file:///tmp/a%20b/%C3%BC', '/tmp/a b/ü'],
    ['file:///tmp/a b', '/tmp/a b'],
    ['file:///tmp/100%', '/tmp/100%'],
    ['file:///C:/adapters/a', 'C:/adapters/a'],
    ['C:\\adapters\\a', 'C:\\adapters\\a'],
    ['C:/adapters/a', 'C:/adapters/a'],
    ['../a#b?c', '../a#b?c'],
  ])('%s is %s', (place, folder) => expect(folderOf(place)).toBe(folder));

  it('with spaces and letters beyond ASCII is saved to and loaded from, by path and URL', async () => {
    const place = join(root, 'a földer with spaces #1?');
    await original.save(pathToFileURL(place).href);
    expect(readdirSync(place)).toContain(WEIGHTS);
    await expectLoaded(place);
    await expectLoaded(pathToFileURL(place).href);
    await expectLoaded(`${pathToFileURL(place).href}/`);
  });
});

describe('a server', () => {
  let server: Server;
  let url: string;
  const asked: string[] = [];
  beforeAll(() => {
    server = createServer((request, response) => {
      asked.push(request.url!);
      const {pathname} = new URL(request.url!, 'http://host');
      if (pathname.startsWith('/page/')) return response.end('<!DOCTYPE html><title>App</title>');
      if (pathname.startsWith('/broken/')) {
        response.writeHead(200, {'content-length': 1000});
        response.write('half');
        return response.destroy();
      }
      response.statusCode = /^\/(404|500)\//.test(pathname) ? Number(pathname.slice(1, 4)) : 200;
      return response.end(
        response.statusCode === 200 ? readFileSync(join(saved, pathname.replace('/a/', ''))) : '',
      );
    }).listen(0);
    url = `http://localhost:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());

  it('is asked for both files with the query of the folder', async () => {
    await expectLoaded(`${url}/a/?sig=abc`);
    expect(asked.slice(-2)).toEqual([`/a/${WEIGHTS}?sig=abc`, `/a/${CONFIG}?sig=abc`]);
  });

  it.each(['404', '500'])('that says %s is named', async (status) => {
    const loading = loadPeft(sequential(), `${url}/${status}`);
    await expect(loading).rejects.toThrow(ConfigError);
    await expect(loading).rejects.toThrow(`${url}/${status}/${WEIGHTS}' (status ${status})`);
  });

  it('that breaks off is named', async () => {
    const loading = loadPeft(sequential(), `${url}/broken`);
    await expect(loading).rejects.toThrow(ConfigError);
    await expect(loading).rejects.toThrow(`${url}/broken/${WEIGHTS}`);
  });

  it('that answers with a page is told of', async () => {
    const loading = loadPeft(sequential(), `${url}/page`);
    await expect(loading).rejects.toThrow(SafetensorsError);
    await expect(loading).rejects.toThrow(`'${url}/page/${WEIGHTS}' is a web page`);
  });

  it.each([
    'http://127.0.0.1:9/a',
    'http://no such host/a',
    'https://[::1/a',
    'http://',
    'https://nobody.invalid/a?sig=1',
  ])('that cannot be reached, %s, is a ConfigError with the address', async (address) => {
    const loading = loadPeft(sequential(), address);
    await expect(loading).rejects.toThrow(ConfigError);
    await expect(loading).rejects.toThrow(addressIn(address, WEIGHTS));
    await expect(loadPeft(sequential(), address)).rejects.toThrow(
      /\((fetch failed: .+|Failed to parse URL.*|Invalid URL.*|.*URL.*)\)/,
    );
    const model = normalizeArtifacts(`${address}/model.json`);
    await expect((async () => model.load())()).rejects.toThrow(ConfigError);
  });
});

describe('an IO handler', () => {
  it.each([undefined, null, {}, 3, 'text', [], {modelTopology: null}, {modelTopology: {}}])(
    'that gives %j is refused',
    async (given) => {
      const handler = {load: async () => given} as unknown as tf.io.IOHandler;
      await expect(loadPeft(sequential(), handler)).rejects.toThrow(ConfigError);
      if (given && typeof given === 'object' && 'modelTopology' in given && given.modelTopology) return;
      await expect((async () => normalizeArtifacts(handler).load())()).rejects.toThrow(ConfigError);
    },
  );

  it('that fails is a ConfigError with its reason', async () => {
    const fail = async () => {
      throw new TypeError('cable cut');
    };
    const handler = {load: fail, save: fail};
    await expect(loadPeft(sequential(), handler)).rejects.toThrow(ConfigError);
    await expect(loadPeft(sequential(), handler)).rejects.toThrow(/cable cut/);
    await expect(original.save(handler)).rejects.toThrow(ConfigError);
    await expect((async () => normalizeArtifacts(handler).load())()).rejects.toThrow(/cable cut/);
  });

  it.each([
    ['a shape below 0', {weightSpecs: [{name: 'a', shape: [-1], dtype: 'float32'}]}],
    ['a shape beyond all memory', {weightSpecs: [{name: 'a', shape: [2 ** 40], dtype: 'float32'}]}],
    ['a shape that is none', {weightSpecs: [{name: 'a', shape: 'x', dtype: 'float32'}]}],
    ['no name', {weightSpecs: [{shape: [], dtype: 'float32'}]}],
    ['specs that are nothing', {weightSpecs: [null]}],
    ['specs that are no list', {weightSpecs: {length: 3}}],
    ['data that are a text', {weightData: 'abcd'}],
    ['data that are a typed array', {weightData: new Float32Array(9)}],
  ])('whose weights have %s is refused', async (_, change) => {
    const modelTopology = JSON.parse(readFileSync(join(saved, CONFIG), 'utf8'));
    const handler = {load: async () => ({modelTopology, ...change})} as unknown as tf.io.IOHandler;
    await expect(loadPeft(sequential(), handler)).rejects.toThrow(PeftError);
  });

  it('is not chosen where two claim a URL', async () => {
    const claim = (url: string | string[]) =>
      String(url).startsWith('twice://')
        ? ({load: async () => ({}), save: async () => ({})} as never)
        : (null as never);
    for (let i = 0; i < 2; i++) {
      tf.io.registerLoadRouter(claim);
      tf.io.registerSaveRouter(claim);
    }
    const message = /2 IO handlers of tfjs claim 'twice:\/\/a'. Pass the handler/;
    await expect(loadPeft(sequential(), 'twice://a')).rejects.toThrow(message);
    await expect(original.save('twice://a')).rejects.toThrow(message);
    await expect((async () => normalizeArtifacts('twice://a').load())()).rejects.toThrow(message);
    await expect(loadPeft(sequential(), 'never://a')).rejects.toThrow(/No IO handler can load from 'never:/);
  });
});

describe('a file that is something else', () => {
  const lfs = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n';
  const html = '\n<!doctype html>\n<html><body>Not found</body></html>';
  it.each<[string, string, string | Uint8Array, RegExp]>([
    ['a git-lfs pointer', WEIGHTS, lfs, /is a pointer of git-lfs.*git lfs pull/],
    ['a git-lfs pointer', CONFIG, lfs, /is not JSON, but a pointer of git-lfs/],
    ['a web page', WEIGHTS, html, /is a web page/],
    ['a web page', CONFIG, html, /is not JSON, but a web page/],
    ['JSON', WEIGHTS, '{"error": "rate limit exceeded"}', /is JSON/],
    ['gzip', WEIGHTS, gzipSync('x'), /is compressed by gzip/],
    ['gzip', CONFIG, gzipSync('{}'), /is not JSON, but compressed by gzip/],
    [
      'a zip',
      WEIGHTS,
      Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0, 0, 0, 0, 0),
      /is a zip archive, such as PyTorch/,
    ],
    [
      'a pickle',
      WEIGHTS,
      Uint8Array.of(0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9),
      /is a Python pickle/,
    ],
    ['HDF5', WEIGHTS, Uint8Array.of(0x89, 0x48, 0x44, 0x46, 13, 10, 26, 10, 0), /is an HDF5 file/],
    ['empty', WEIGHTS, '', /is empty/],
    ['empty', CONFIG, '', /is not JSON, but empty/],
    ['UTF-16', CONFIG, Buffer.from('\ufeff{}', 'utf16le'), /is not JSON, but a text in UTF-16/],
    [
      'the other file',
      CONFIG,
      Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d),
      /is not JSON, but a safetensors file/,
    ],
    ['a text', WEIGHTS, 'not a safetensors file', /The header claims/],
  ])('(%s as %s) is named', async (_, name, content, message) => {
    const place = join(root, `other-${folders++}`);
    cpSync(saved, place, {recursive: true});
    writeFileSync(join(place, name), content);
    const loading = loadPeft(sequential(), place);
    await expect(loading).rejects.toThrow(PeftError);
    await expect(loading).rejects.toThrow(message);
    await expect(loading).rejects.toThrow(join(place, name));
  });

  it('only because it was cut off is called truncated', async () => {
    const place = join(root, 'cut');
    mkdirSync(place);
    const bytes = readFileSync(join(saved, WEIGHTS));
    for (const length of [4, 20, bytes.length - 1]) {
      writeFileSync(join(place, WEIGHTS), bytes.subarray(0, length));
      await expect(loadPeft(sequential(), place)).rejects.toThrow(/cut.adapter_model.safetensors.*truncated/);
    }
  });

  it("of Python's PEFT is named", async () => {
    const place = join(root, 'python');
    cpSync(saved, place, {recursive: true});
    writeFileSync(join(place, CONFIG), '{"peft_type": "LORA", "r": 8}');
    await expect(loadPeft(sequential(), place)).rejects.toThrow(/an adapter of Python's PEFT \('LORA'\)/);
  });
});

describe('an engine', () => {
  function without(name: string, value: unknown, run: () => Promise<void>): Promise<void> {
    const own = Object.getOwnPropertyDescriptor(globalThis, name)!;
    Object.defineProperty(globalThis, name, {value, configurable: true, writable: true});
    return run().finally(() => Object.defineProperty(globalThis, name, own));
  }

  it.each([undefined, {}])('whose crypto is %j saves and loads the same files', (crypto) =>
    without('crypto', crypto, async () => {
      const place = join(root, `plain-${folders++}`);
      await original.save(place);
      for (const name of readdirSync(saved)) {
        expect(readFileSync(join(place, name))).toEqual(readFileSync(join(saved, name)));
      }
      await expectLoaded(saved);
      const peft = await upgrade(sequential(), {adapter: {type: 'lora', rank: 2}});
      await peft.load(saved, {ignoreBase: true});
    }),
  );

  it.each(['TextDecoder', 'TextEncoder'])('without %s is told what is missing', (name) =>
    without(name, undefined, async () => {
      const peft = await upgrade(sequential(), {adapter: {type: 'lora', rank: 2}});
      const use = name === 'TextDecoder' ? peft.load(saved) : peft.save(join(root, 'never'));
      await expect(use).rejects.toThrow(new RegExp(`has no ${name}.*Load a polyfill`));
    }),
  );
});

it.each([
  {name: null},
  {name: 3n},
  {name: ''},
  {ignoreBase: 'yes'},
  {ignoreBase: null},
  {rename: 3},
  {rename: {dense_1: 3n}},
  {rename: () => Symbol('a')},
])('load refuses the options %p', async (options) => {
  const model = sequential();
  await expect(loadPeft(model, saved, options as never)).rejects.toThrow(PeftError);
  await expect(original.save(join(root, 'x'), {name: null} as never)).rejects.toThrow(ConfigError);
});
