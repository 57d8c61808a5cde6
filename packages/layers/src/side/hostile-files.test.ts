import {cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/cpu';
import {PeftError} from '@tfjs-peft/kernels';
import {readSafetensors, writeSafetensors} from '../index.js';
import {expectUnchanged, fingerprint} from '../testing/models.js';
import {attachSideNetwork, loadSideNetwork} from './attach.js';
import {normedLayers} from './testing/models.js';

const WEIGHTS = 'adapter_model.safetensors';
const CONFIG = 'adapter_config.json';

let root: string;
let folders = 0;

beforeAll(async () => {
  await tf.setBackend('cpu');
  root = mkdtempSync(join(tmpdir(), 'side-hostile-'));
  const side = await attachSideNetwork(normedLayers(), {
    taps: ['norm_1', 'norm_2', 'norm_3'],
    width: 4,
    heads: 2,
    hidden: 6,
    trainNorms: true,
  });
  await side.save(join(root, 'good'));
});
afterAll(() => rmSync(root, {recursive: true, force: true}));

function copy(): string {
  const place = join(root, `copy-${folders++}`);
  cpSync(join(root, 'good'), place, {recursive: true});
  return place;
}

/** Fields of the adapter's config that are other ones, in both places where a folder has it. */
function withFields(fields: object): string {
  const place = copy();
  const config = JSON.parse(readFileSync(join(place, CONFIG), 'utf8')) as {adapter: object};
  const text = JSON.stringify({...config, adapter: {...config.adapter, ...fields}});
  const {tensors} = readSafetensors(readFileSync(join(place, WEIGHTS)));
  writeFileSync(join(place, WEIGHTS), writeSafetensors(tensors as never, new Map([['config', text]])));
  writeFileSync(join(place, CONFIG), text);
  return place;
}

/** The error of loading a place: it comes at once, from little memory, and the model stays as it was. */
async function refusal(place: string): Promise<string> {
  const model = normedLayers();
  const before = fingerprint(model);
  const tensors = tf.memory().numTensors;
  const start = process.cpuUsage();
  const memory = process.memoryUsage().rss;
  const error = await loadSideNetwork(model, place).then(
    () => undefined,
    (error) => error as Error,
  );
  expect(error).toBeInstanceOf(PeftError);
  const {user, system} = process.cpuUsage(start);
  expect((user + system) / 1000).toBeLessThan(3000);
  expect(process.memoryUsage().rss - memory).toBeLessThan(300e6);
  expectUnchanged(model, before);
  expect(tf.memory().numTensors).toBe(tensors);
  return error!.message;
}

test('the file by itself loads', async () => {
  const side = await loadSideNetwork(normedLayers(), copy());
  expect(side.report().parts.map(({name}) => name)).toContain('norms');
});

const HUGE = [60_000, 3e7, 1e9, 2 ** 53 - 1];
test.each([
  ...['experts', 'hidden', 'width', 'heads', 'topK'].flatMap((option) =>
    HUGE.map((size) => [`${option} ${size}`, {[option]: size}] as const),
  ),
  ['all at once', {experts: 1e6, hidden: 1e6, width: 1e6}],
  ['experts of no number', {experts: 'many'}],
  ['NaN', {noise: null}],
  ['an unknown option', {rank: 3}],
  ['an unknown gate', {gates: 'hard'}],
  ['another wiring', {wiring: 'unipt'}],
  ['no taps', {taps: []}],
  ['taps of numbers', {taps: [1, 2]}],
  ['taps that are a text', {taps: 'norm_1'}],
  ['fewer taps', {taps: ['norm_1', 'norm_2']}],
  ['taps that are inherited', {taps: ['constructor', '__proto__']}],
  ['ten thousand taps', {taps: Array(10_000).fill('norm_1')}],
  ['another mask', {mask: 'pool'}],
  ['norms that are no boolean', {trainNorms: 'yes'}],
  ['no norms', {trainNorms: false}],
  ['a cache of all memory', {cacheBytes: 1e15}],
  ['an example', {example: [1]}],
  ['another type', {type: 'lora', rank: 2}],
] as const)('%s: refused', async (_what, fields) => {
  expect((await refusal(withFields(fields))).length).toBeGreaterThan(20);
});

test('weights that are cut off, of another size, missing, unknown or not finite are refused', async () => {
  const cut = copy();
  truncateSync(join(cut, WEIGHTS), readFileSync(join(cut, WEIGHTS)).length - 8);
  await refusal(cut);
  const changed = async (change: (tensors: Map<string, {shape: number[]; values: Float32Array}>) => void) => {
    const place = copy();
    const {tensors, metadata} = readSafetensors(readFileSync(join(place, WEIGHTS)));
    const all = new Map(tensors) as never;
    change(all);
    writeFileSync(join(place, WEIGHTS), writeSafetensors(all, metadata as never));
    return refusal(place);
  };
  await changed((tensors) => tensors.delete('side.up_w'));
  await changed((tensors) => tensors.set('side.more', {shape: [1], values: Float32Array.of(1)}));
  await changed((tensors) => tensors.set('side.up_b', {shape: [2], values: Float32Array.of(1, 2)}));
  await changed((tensors) => {
    const key = [...tensors.keys()].find((name) => name.includes('norms/'))!;
    tensors.get(key)!.values[0] = Number.NaN;
  });
});

test('a network with weights that are not finite is not saved', async () => {
  const side = await attachSideNetwork(normedLayers(), {taps: ['norm_1', 'norm_2'], width: 4});
  const [first] = side.trainableVariables();
  first!.assign(tf.fill(first!.shape, Number.NaN));
  await expect(side.save(join(root, 'nan'))).rejects.toThrow(/finite/);
});
