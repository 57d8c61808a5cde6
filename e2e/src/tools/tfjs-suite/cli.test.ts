import {spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

jest.setTimeout(300_000);

const ROOT = join(__dirname, '../../../..');
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-suite-'));
});
afterAll(() => rmSync(folder, {recursive: true, force: true}));

/** Runs the command of package.json on the built files, as npm does. */
function run(...args: string[]) {
  const {scripts} = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const [program, file] = scripts['tfjs-suite'].split(' ');
  expect(program).toBe('node');
  return spawnSync(process.execPath, [join(ROOT, file), ...args], {cwd: folder, encoding: 'utf8'});
}

test('the command reports on the built packages, in a table and as JSON', () => {
  const {status, stdout, stderr} = run('--backend', 'cpu', '--json', 'cpu.json');
  expect(stderr).toBe('');
  const report = JSON.parse(readFileSync(join(folder, 'cpu.json'), 'utf8'));
  expect(report).toEqual({
    backend: 'cpu',
    specs: expect.any(Number),
    failures: 0,
    stockFailures: 0,
    new: [],
    corrected: expect.arrayContaining([expect.stringContaining('mirrorPad')]),
  });
  expect(stdout.trim().split('\n').at(-1)).toBe(`cpu: ${report.specs} specs, 0 failed, 0 stock, 0 new`);
  expect(status).toBe(0);
});

test.each([
  [[], /^tfjs-suite: name a backend: npm run tfjs-suite -- --backend cpu\|wasm\|webgl\|webgpu/],
  [['--backend', 'tpu'], /^tfjs-suite: unknown backend tpu; known are cpu, wasm, webgl, webgpu$/],
  [['--backend', 'cpu', '--backend', 'wasm'], /^tfjs-suite: --backend: given twice; give it once$/],
  [['--backend', 'cpu', '--json', '.'], /^tfjs-suite: --json: \. is a folder; name a file$/],
  [['--backend', 'cpu', '--fast'], /^tfjs-suite: --fast: no such option; see --help$/],
])('%j fails on one line', (args, message) => {
  const {status, stderr} = run(...args);
  expect(stderr.trim()).toMatch(message);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(status).toBe(1);
});
