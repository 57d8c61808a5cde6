import {spawnSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

const ROOT = join(__dirname, '../../../..');
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-commands-'));
});
afterAll(() => rmSync(folder, {recursive: true, force: true}));

/** Runs a command of package.json on the built files, as npm does. */
function run(script: 'golden' | 'bench', ...args: string[]) {
  const {scripts} = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const [program, file] = scripts[script].split(' ');
  expect(program).toBe('node');
  return spawnSync(process.execPath, [join(ROOT, file), ...args], {
    cwd: folder,
    encoding: 'utf8',
    // Whatever CI sets: colour codes would stand between the words.
    env: {...process.env, NO_COLOR: '1', FORCE_COLOR: undefined, CI: undefined},
  });
}

const json = (name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'));

test.each(['cpu', 'wasm'])('golden measures a folder on %s and writes its report', (backend) => {
  const data = join(ROOT, 'e2e/golden/mov-molora');
  const {status, stdout} = run('golden', data, '--backend', backend, '--json', 'golden.json');
  expect(status).toBe(0);
  const report = json('golden.json');
  expect(report.backend).toBe(backend);
  expect(report.passed).toBeGreaterThanOrEqual(12);
  expect(report.passed + report.failed).toBe(28);
  expect(Object.keys(report.cases[0])).toEqual(['id', 'system', 'forward', 'grad', 'ok', 'why']);
  expect(stdout).toMatch(/ok +molora-attn +molora/);
  expect(stdout.trim().split('\n').at(-1)).toBe(
    `${backend}: ${report.passed} passed, ${report.failed} failed`,
  );
});

const missing = {id: 'missing', system: 'lora', config: {site: 'dense', rank: 4}};
const foreign = {id: 'foreign', system: 'hypernet'};
test.each([
  [
    'is expressible and cannot be read',
    [missing, foreign],
    1,
    '0 passed, 2 failed, of which 1 not expressible',
  ],
  ['cannot be expressed', [foreign], 1, '0 passed, 1 failed, of which 1 not expressible'],
])('golden says by its exit code whether a case failed that %s', (_, cases, status, said) => {
  const data = join(folder, `cases-${cases.length}`);
  mkdirSync(data);
  writeFileSync(join(data, 'index.json'), JSON.stringify({cases}));
  const result = run('golden', data, '--backend', 'cpu', '--json', 'failed.json');
  expect(result.stdout.trim().split('\n').at(-1)).toBe(`cpu: ${said}`);
  expect(result.status).toBe(status);
  expect(json('failed.json').failed).toBe(cases.length);
});

test('bench writes a row a metric, each with its baseline and ratio', () => {
  const args = ['layer', '--cases', '^lora', '--rounds', '2', '--warmup', '0', '--json', 'bench.json'];
  const {status, stderr} = run('bench', ...args);
  expect(stderr.split('\n').filter((line) => line.startsWith('bench:'))).toEqual([]);
  expect(status).toBe(0);
  const report = json('bench.json');
  expect(report).toMatchObject({suite: 'layer', backend: 'wasm', rounds: 2});
  expect(report.machine.cores).toBeGreaterThan(0);
  expect(report.rows.map(({metric}: {metric: string}) => metric)).toEqual([
    'forward',
    'of-peak',
    'forward-vs-bare',
    'step',
    'step-dx',
    'launches',
    'launches-forward',
    'launches-gradients',
    'peak-bytes',
    'step-dx/jax-js',
  ]);
  for (const {ours, baseline, ratio} of report.rows) {
    expect(ours).toBeGreaterThan(0);
    expect(ratio).toBeCloseTo(ours / baseline);
  }
});

test.each([
  ['golden', [], /^golden: name at least one folder/],
  ['golden', ['nowhere'], /^golden: nowhere is not a folder$/],
  ['golden', ['.', '--backend', 'tpu'], /^golden: unknown backend tpu; known are cpu, wasm/],
  ['bench', ['layers'], /^bench: name one suite/],
  ['bench', ['layer', '--rounds', 'few'], /^bench: --rounds: "few" is not a whole number/],
  ['bench', ['layer', '--cases', '^nothing$'], /^bench: no case of layer matches/],
  ['bench', ['layer', '--speed'], /^bench: --speed: no such option/],
] as const)('%s %j fails on one line', (script, args, message) => {
  const {status, stderr} = run(script, ...args);
  const lines = stderr.split('\n').filter((line) => line.startsWith(`${script}:`));
  expect(lines).toEqual([expect.stringMatching(message)]);
  expect(status).toBe(1);
});
