import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {entriesOf, install, PACKAGES, pack} from './install.js';

const ROOT = join(__dirname, '../../../..');
const BUNDLERS = ['esbuild', 'rollup', 'vite', 'webpack'];

/** Those whose import is enough; of the others, one names what one needs. */
const EFFECTIVE =
  /kernels\/(auto|cpu|gradients|wasm|wasm-training|webgl|webgpu)$|layers(\/(graph|repair|quantize))?$/;

interface Registered {
  kernels: string[];
  gradients: string[];
  classes: string[];
  adapters: string[];
  routers: string[];
  ops: string[];
  adam: boolean;
}

const entries = PACKAGES.flatMap((name) => entriesOf(ROOT, name));
/** What programs import: each entry alone, and what most of them import together. */
const programs = [...entries.map((entry) => [entry]), ['@tfjs-peft/kernels/auto', '@tfjs-peft/layers/graph']];
const nameOf = (program: string[]) =>
  program.map((entry) => entry.replace('@tfjs-peft/', '').replace('/', '~')).join('+');

// The trainer, which a bare import drops, is what uses PeftLayerNorm.
const LAYERS = [
  'PeftBlend',
  'PeftCombine',
  'PeftExpertDown',
  'PeftGates',
  'PeftMatMul',
  'PeftProject',
  'PeftStreamGates',
  'PeftTopK',
];

/** The ops of a program that imports no backend's kernels. A bundler may drop the gradients of the others. */
const USED: Record<string, string[]> = {
  quant: [],
  routers: ['PeftGates', 'PeftMatMul', 'PeftStreamGates', 'PeftTopK'],
  layers: LAYERS,
  'layers~graph': LAYERS,
  'layers~repair': [],
  'layers~side': [...LAYERS.filter((name) => name !== 'PeftBlend'), 'PeftLayerNorm'].sort(),
  'layers~merge': LAYERS,
  'layers~quantize': LAYERS,
};

let registered: Record<string, Record<string, Registered>>;

beforeAll(() => {
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-bundlers-'));
  try {
    const tarballs = Object.fromEntries(PACKAGES.map((name) => [name, pack(ROOT, name, folder)]));
    const backends = ['cpu', 'wasm', 'webgl', 'webgpu'].map((name) => `@tensorflow/tfjs-backend-${name}`);
    const peers = ['@tensorflow/tfjs', '@tensorflow/tfjs-converter', ...backends];
    install(ROOT, tarballs, PACKAGES, folder, peers);
    writeFileSync(join(folder, 'package.json'), '{"private": true}');
    mkdirSync(join(folder, 'entries'));
    for (const program of programs) {
      const lines = program.map((entry) => {
        // A program that uses some of the layers, as any does.
        const names = program.length > 1 && /layers/.test(entry) ? '{upgrade, createAdapter}' : '*';
        return EFFECTIVE.test(entry) && names === '*'
          ? `import '${entry}';`
          : `export ${names} from '${entry}';`;
      });
      writeFileSync(join(folder, 'entries', `${nameOf(program)}.mjs`), lines.join('\n'));
    }
    const run = (script: string, ...args: string[]) =>
      execFileSync(process.execPath, [join(__dirname, script), ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        maxBuffer: 2 ** 26,
      });
    run('bundlers.mjs', 'modules', folder);
    registered = JSON.parse(run('registered.cjs', folder).trim().split('\n').at(-1)!);
  } finally {
    rmSync(folder, {recursive: true, force: true});
  }
}, 180_000);

describe.each(programs.map((program) => [program.join(' and '), nameOf(program)] as const))(
  '%s',
  (_, name) => {
    test.each(BUNDLERS)('bundled by %s registers what it does unbundled', (bundler) => {
      const {unbundled} = registered[name]!;
      const bundled = registered[name]![bundler]!;
      // A bare import gives no names by which to ask.
      if (bundled.adapters.length === 0) unbundled!.adapters = [];
      if (bundled.routers.length === 0) unbundled!.routers = [];
      const used = USED[name];
      if (used === undefined) {
        expect(bundled).toEqual(unbundled);
        return;
      }
      expect(bundled.gradients).toEqual(expect.arrayContaining(used));
      expect(bundled).toEqual({...unbundled, gradients: bundled.gradients});
    });
  },
);

test('what is registered is all that there is', () => {
  const both = registered['kernels~auto+layers~graph']!.vite!;
  for (const backend of ['cpu', 'wasm', 'webgl', 'webgpu'])
    expect(both.kernels).toEqual(expect.arrayContaining([`${backend}_PeftCombine`, `${backend}_PeftAdam`]));
  for (const op of [
    'Blend',
    'Combine',
    'ExpertDown',
    'Gates',
    'LayerNorm',
    'MatMul',
    'Project',
    'StreamGates',
    'TopK',
  ])
    expect(both.gradients).toContain(`Peft${op}`);
  expect(both.classes).toEqual(expect.arrayContaining(['PeftDense', 'PeftWrapper']));
  const ops = ['', ' (import @tfjs-peft/layers)', ' (import @tfjs-peft/layers/graph)'];
  expect(both).toMatchObject({ops: ops.map((advice) => `TfjsPeftSite${advice}`), adam: true});
  expect(both.adapters.length).toBeGreaterThanOrEqual(9);
  expect(registered.routers!.vite!.routers.length).toBeGreaterThanOrEqual(8);
});
