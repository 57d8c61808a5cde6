import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {type Peft, upgrade} from '../../graph.js';
import {GraphBuilder} from '../../graph-model/testing/builder.js';
import {exportPlain} from '../../merge.js';
import type {StorageLocation} from './storage-location.js';

let root: string;
let peft: Peft<GraphModel>;
let folders = 0;

beforeAll(async () => {
  await tf.setBackend('cpu');
  root = mkdtempSync(join(tmpdir(), 'peft-models-'));
  const graph = new GraphBuilder();
  graph.input('x', [-1, 4]);
  graph.weight('w', [4, 3]);
  graph.output(graph.node('MatMul', 'product', ['x', 'w'], {transpose_a: false, transpose_b: false}));
  peft = await upgrade(await graph.load(), {adapter: {type: 'lora', rank: 2}});
});

afterAll(() => rmSync(root, {recursive: true}));

function folder(files: Record<string, string> = {}): string {
  const place = join(root, String(folders++));
  mkdirSync(place);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(place, name), content);
  return place;
}

const STORES = {
  saveModel: (place) => peft.saveModel(place),
  exportPlain: (place) => exportPlain(peft, place),
} satisfies Record<string, (place: StorageLocation) => Promise<string[]>>;

describe.each(Object.entries(STORES))('%s to a folder', (name, store) => {
  it('replaces what an earlier one stored, and leaves nothing else behind', async () => {
    const place = folder({'README.md': '# my project'});
    for (let i = 0; i < 3; i++) await store(place);
    const names = readdirSync(place).sort();
    expect(names).toEqual([
      'README.md',
      expect.stringMatching(/^group1-shard1of1\.[-0-9a-z]+\.bin$/),
      'model.json',
    ]);
    const {weightsManifest} = JSON.parse(readFileSync(join(place, 'model.json'), 'utf8')) as tf.io.ModelJSON;
    expect(weightsManifest[0]!.paths).toEqual([names[1]]);
    expect(readFileSync(join(place, 'README.md'), 'utf8')).toBe('# my project');
  });

  it("leaves a model alone that it did not store, such as the base's own", async () => {
    const files = {'model.json': '{"modelTopology": {}}', 'group1-shard1of1.bin': 'weights'};
    const place = folder(files);
    await expect(store(place)).rejects.toThrow(ConfigError);
    await expect(store(place)).rejects.toThrow(/its model.json was not written by tfjs-peft/);
    expect(readdirSync(place).sort()).toEqual(Object.keys(files).sort());
    expect(readFileSync(join(place, 'model.json'), 'utf8')).toBe(files['model.json']);
  });

  it('never touches weights that no model.json of ours names', async () => {
    const place = folder({'group1-shard1of1.bin': 'weights'});
    await store(place);
    expect(readFileSync(join(place, 'group1-shard1of1.bin'), 'utf8')).toBe('weights');
  });

  it('says so if an IO handler fails, or two claim the place', async () => {
    const failing: tf.io.IOHandler = {
      save: async () => {
        throw new TypeError('disk on fire');
      },
    };
    await expect(store(failing)).rejects.toThrow(ConfigError);
    await expect(store(failing)).rejects.toThrow(/disk on fire/);
    const claims = (url: string | string[]) => (String(url).startsWith(`${name}x://`) ? failing : null);
    tf.io.registerSaveRouter(claims as never);
    tf.io.registerSaveRouter(claims as never);
    await expect(store(`${name}x://a`)).rejects.toThrow(/2 IO handlers of tfjs claim/);
  });
});
