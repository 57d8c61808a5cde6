import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {entriesOf, install, PACKAGES, pack} from './install.js';

const ROOT = join(__dirname, '../../../..');
const BIN = join(ROOT, 'node_modules/.bin');
let scratch: string;
const tarballs: Record<string, string> = {};

/** Runs a program and, where it fails, shows what it said. */
function run(command: string, args: string[], cwd = scratch): string {
  try {
    return execFileSync(command, args, {cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']});
  } catch (error) {
    const {stdout, stderr} = error as {stdout: string; stderr: string};
    throw new Error(`${command} ${args.join(' ')}\n${stdout}\n${stderr}`);
  }
}

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'tfjs-peft-pack-'));
  for (const name of PACKAGES) tarballs[name] = pack(ROOT, name, scratch);
});
afterAll(() => rmSync(scratch, {recursive: true, force: true}));

/** A program that fails to compile where a name of the module has no type, or the type `any`. */
function typesProgram(entry: string, names: string[]): string {
  const checks = names.map((name) => `export const ${name}_: IsAny<typeof api.${name}> = false;`);
  return [
    `import * as api from '${entry}';`,
    'type IsAny<T> = 0 extends 1 & T ? true : false;',
    ...checks,
  ].join('\n');
}

/**
 * Optional peers that an entry cannot be imported without; those of kernels are asked for when they are
 * there.
 */
const NEEDED: Record<string, string[]> = {'@tfjs-peft/layers/graph': ['@tensorflow/tfjs-converter']};

describe.each(PACKAGES)('%s, packed and installed alone with its required peers', (name) => {
  let folder: string;
  const all = entriesOf(ROOT, name);
  let entries = all.filter((entry) => NEEDED[entry] === undefined);

  beforeAll(() => {
    folder = join(scratch, name);
    mkdirSync(folder);
    install(ROOT, tarballs, [name], folder);
    writeFileSync(join(folder, 'package.json'), '{"private": true}');
  });

  test('every entry that needs no other peer can be imported', () => {
    expect(Object.keys(namesBy('import'))).toEqual(entries);
    // From here on with the others.
    entries = all;
    install(
      ROOT,
      tarballs,
      [name],
      folder,
      all.flatMap((entry) => NEEDED[entry] ?? []),
    );
  });

  /** The names that each entry exports, by entry. */
  const namesBy = (how: 'import' | 'require'): Record<string, string[]> => {
    const load = how === 'import' ? 'await import(entry)' : 'require(entry)';
    const program = `
      const names = {};
      for (const entry of ${JSON.stringify(entries)}) names[entry] = Object.keys(${load}).sort();
      console.log(JSON.stringify(names));`;
    const type = how === 'import' ? 'module' : 'commonjs';
    const output = run(process.execPath, [`--input-type=${type}`, '-e', program], folder);
    return JSON.parse(output.trim().split('\n').at(-1)!);
  };

  test('import and require give the same names', () => {
    const imported = namesBy('import');
    expect(Object.keys(imported)).toEqual(entries);
    expect(namesBy('require')).toEqual(imported);
  });

  test('every name has a type, for ESM, CommonJS and bundlers', () => {
    const imported = Object.entries(namesBy('import'));
    const flags = ['--noEmit', '--strict', '--skipLibCheck', '--types', '', '--target', 'es2022'];
    for (const [module, resolution, extensions] of [
      ['nodenext', 'nodenext', ['mts', 'cts']],
      ['esnext', 'bundler', ['ts']],
    ] as const) {
      const files = imported.flatMap(([entry, names], at) =>
        extensions.map((extension) => {
          writeFileSync(join(folder, `types${at}.${extension}`), typesProgram(entry, names));
          return `types${at}.${extension}`;
        }),
      );
      run(
        join(BIN, 'tsc'),
        [...flags, '--module', module, '--moduleResolution', resolution, ...files],
        folder,
      );
    }
  });

  test('publint and are-the-types-wrong find nothing', () => {
    run(join(BIN, 'publint'), [tarballs[name]!, '--strict']);
    run(join(BIN, 'attw'), [tarballs[name]!, '--profile', 'node16', '--no-definitely-typed', '--no-emoji']);
  });
});
