import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {InputError} from '../../data/input-error.js';
import {checkSpace, checkWritable, makeFolders, writeInto, writeWhole} from './output.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'output-'));
});
afterEach(() => rmSync(folder, {recursive: true, force: true}));

describe('writeWhole', () => {
  it('replaces a file, through a link too, and makes the folders above', () => {
    const path = join(folder, 'a/b.json');
    writeWhole(path, 'one');
    symlinkSync(path, join(folder, 'link'));
    writeWhole(join(folder, 'link'), 'two');
    expect(readFileSync(path, 'utf8')).toBe('two');
    expect(readdirSync(join(folder, 'a'))).toEqual(['b.json']);
  });

  it('writes into a device as it is', () => {
    writeWhole('/dev/null', 'x');
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  it('names the file on a full disk, and leaves nothing', () => {
    expect(() => writeWhole('/dev/full', 'x')).toThrow(
      new InputError('/dev/full: cannot be written (no space left on device)'),
    );
    mkdirSync(join(folder, 'taken'));
    expect(() => writeWhole(join(folder, 'taken'), 'x')).toThrow(InputError);
    expect(readdirSync(folder)).toEqual(['taken']);
  });
});

describe('writeInto', () => {
  it('names the folder if the system refuses, and lets other errors be', async () => {
    const full = async () => writeFileSync('/dev/full', 'x');
    await expect(writeInto('out/adapter', full)).rejects.toThrow(
      'out/adapter: cannot be written (no space left on device)',
    );
    const other = new Error('other');
    await expect(writeInto('out', () => Promise.reject(other))).rejects.toBe(other);
  });
});

describe('checkWritable', () => {
  it('leaves everything as it was', () => {
    const path = join(folder, 'x.json');
    checkWritable('--json', path);
    writeFileSync(path, 'kept');
    checkWritable('--json', path);
    checkWritable('--json', '/dev/null');
    expect(readFileSync(path, 'utf8')).toBe('kept');
    expect(readdirSync(folder)).toEqual(['x.json']);
  });
});

describe('makeFolders', () => {
  it('says which folder was the first to be made', () => {
    expect(makeFolders(join(folder, 'a/b/c'))).toBe(join(folder, 'a'));
    expect(makeFolders(join(folder, 'a/b'))).toBeUndefined();
  });

  it('ends where there can be none', () => {
    expect(() => makeFolders('/proc/nothing/at/all')).toThrow(/ENOENT/);
  });
});

describe('checkSpace', () => {
  it('says how much there is, and how much it takes', () => {
    checkSpace('--out', folder, 1);
    expect(() => checkSpace('--out', folder, 1e18)).toThrow(
      /^--out: [\d.]+ MB are free in .*, and the run takes 1000000000000\.0 MB; free some space, or name another folder$/,
    );
  });
});
