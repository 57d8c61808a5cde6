import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {spawnSync} from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {loadPeft, type Peft, upgrade, writeSafetensors} from '../../index.js';
import {sequential} from '../../testing/models.js';
import {removeLeftovers, temporaryName} from './temporary-files.js';

const WEIGHTS = 'adapter_model.safetensors';
const CONFIG = 'adapter_config.json';

let root: string;
let peft: Peft;
let folders = 0;

beforeAll(async () => {
  await tf.setBackend('cpu');
  root = mkdtempSync(join(tmpdir(), 'peft-folder-'));
  peft = await upgrade(sequential(), {adapter: {type: 'lora', rank: 2}, seed: 1});
});

afterAll(() => rmSync(root, {recursive: true}));

/** A folder with these files of its user. */
function folder(files: Record<string, string | Uint8Array> = {}): string {
  const place = join(root, String(folders++));
  mkdirSync(place);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(place, name), content);
  return place;
}

const read = (place: string, name: string) => readFileSync(join(place, name), 'utf8');

describe('a README.md', () => {
  it.each([
    ['of a project', '# my project\n'],
    ['that is empty', ''],
    ['that is no text', Uint8Array.of(0xff, 0xfe, 0)],
  ])('%s stays, and the adapter is saved beside it', async (_, content) => {
    const place = folder({'README.md': content});
    for (let i = 0; i < 2; i++) {
      const {files} = await peft.save(place);
      expect(files).toEqual([join(place, WEIGHTS), join(place, CONFIG)]);
    }
    expect(readFileSync(join(place, 'README.md'))).toEqual(Buffer.from(content as string));
    await loadPeft(sequential(), place);
  });

  it('of an earlier save is replaced', async () => {
    const place = folder();
    const {files} = await peft.save(place);
    expect(files).toContain(join(place, 'README.md'));
    const other = await upgrade(sequential(), {adapter: {type: 'ia3'}, name: 'other'});
    await other.save(place);
    expect(read(place, 'README.md')).toMatch(/^# other\n/);
    expect(read(place, 'README.md')).toMatch(/For a GraphModel, .*@tfjs-peft\/layers\/graph/);
  });

  it('of an earlier save that its user has changed stays', async () => {
    for (const change of [
      (card: string) => `${card}\nUse it with care.\n`,
      (card: string) => card.replace('# default', '# My adapter'),
      (card: string) => card.slice(0, -1),
    ]) {
      const place = folder();
      await peft.save(place);
      const changed = change(read(place, 'README.md'));
      writeFileSync(join(place, 'README.md'), changed);
      await peft.save(place);
      expect(read(place, 'README.md')).toBe(changed);
    }
  });

  it('of the first version, which had no signature, is replaced too', async () => {
    const place = folder();
    await peft.save(place);
    // It had neither the signature nor the word on GraphModels.
    const unsigned = read(place, 'README.md').replace(/\nFor a GraphModel.*$/s, '');
    writeFileSync(join(place, 'README.md'), unsigned);
    await peft.save(place);
    expect(read(place, 'README.md')).toMatch(/<!-- Written by tfjs-peft/);
  });
});

describe('files of somebody else are not replaced:', () => {
  const python = '{"peft_type": "LORA", "r": 8}';
  const tensors = new Map([['w', {shape: [1], values: Float32Array.of(1)}]]);
  it.each<[string, Record<string, string | Uint8Array>, string]>([
    ["an adapter of Python's PEFT", {[CONFIG]: python, [WEIGHTS]: writeSafetensors(tensors)}, WEIGHTS],
    ["a config of Python's PEFT alone", {[CONFIG]: python}, CONFIG],
    ['weights alone', {[WEIGHTS]: writeSafetensors(tensors, new Map([['format', 'pt']]))}, WEIGHTS],
    ['a config that is no JSON', {[CONFIG]: 'rank = 8'}, CONFIG],
    ['weights that are none', {[WEIGHTS]: 'version https://git-lfs.github.com/spec/v1\n'}, WEIGHTS],
    ['empty files', {[CONFIG]: ''}, CONFIG],
  ])('%s', async (_, files, named) => {
    const place = folder(files);
    await expect(peft.save(place)).rejects.toThrow(ConfigError);
    await expect(peft.save(place)).rejects.toThrow(
      new RegExp(`its ${named} was not written by tfjs-peft.*Use another folder`),
    );
    expect(readdirSync(place).sort()).toEqual(Object.keys(files).sort());
    for (const [name, content] of Object.entries(files)) {
      expect(readFileSync(join(place, name))).toEqual(Buffer.from(content as string));
    }
  });

  it('a file that cannot be read', async () => {
    if (process.getuid?.() === 0) return expect(process.getuid()).toBe(0);
    const place = folder({[CONFIG]: '{}'});
    chmodSync(join(place, CONFIG), 0);
    await expect(peft.save(place)).rejects.toThrow(/was not written by tfjs-peft/);
  });
});

describe('what a writer that was killed left', () => {
  const dead = () => spawnSync(process.execPath, ['-e', '']).pid;
  const of = (pid: number, name: string) => temporaryName(name).replace(`-${process.pid}-`, `-${pid}-`);

  it('is gone after the next save; what living ones write, and files of others, stay', async () => {
    const killed = [of(dead(), WEIGHTS), of(dead(), CONFIG), of(dead(), 'README.md')];
    const living = [temporaryName(WEIGHTS), of(process.ppid, CONFIG)];
    const elsewhere = `${WEIGHTS}.zzzzzz-${dead()}-x.tmp`;
    const others = ['notes.tmp', `${WEIGHTS}.tmp`, 'my-README.md.a-1-b.tmp'];
    const place = folder(
      Object.fromEntries([...killed, ...living, elsewhere, ...others].map((name) => [name, 'x'])),
    );
    await peft.save(place);
    expect(readdirSync(place).sort()).toEqual(
      [WEIGHTS, CONFIG, 'README.md', ...living, elsewhere, ...others].sort(),
    );
  });

  it('on another machine, or by the first version, is gone an hour later', async () => {
    const names = [`${WEIGHTS}.zzzzzz-1-x.tmp`, `${CONFIG}.mb2k3j4l-8fj3k2.tmp`];
    const place = folder(Object.fromEntries(names.map((name) => [name, 'x'])));
    await removeLeftovers(place);
    expect(readdirSync(place).sort()).toEqual([...names].sort());
    const then = new Date(Date.now() - 2 * 3600 * 1000);
    for (const name of names) utimesSync(join(place, name), then, then);
    await peft.save(place);
    expect(names.some((name) => existsSync(join(place, name)))).toBe(false);
  });
});
