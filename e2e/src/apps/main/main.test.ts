import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {bundleScripts} from '../testing/bundle.js';
import {runScript} from '../testing/program.js';
import type {Result} from './result.js';
import {writeTasks} from './testing/tasks.js';

const root = join(__dirname, '../../../..');

describe('the main job', () => {
  let folder: string;
  let scripts: string;
  let tasks: string;

  const start = (args: string[], signalAt?: RegExp) => runScript(join(scripts, 'cli.js'), args, {signalAt});
  const result = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Result;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'main-'));
    tasks = join(folder, 'tasks');
    writeTasks(tasks);
    scripts = await bundleScripts(root, 'apps/main', ['cli', 'reload', 'worker'], 'main');
  }, 60000);

  afterAll(() => rmSync(folder, {recursive: true, force: true}));

  it('trains, saves, reloads in a second process, and goes on after Ctrl-C to the same result', async () => {
    const common = ['--tasks-dir', tasks, '--steps', '6', '--batch', '8', '--max-tokens', '12'];
    const whole = join(folder, 'whole');
    const full = await start([...common, '--out', whole, '--json', join(folder, 'whole.json')]);
    expect(full.errors).not.toContain('error:');
    expect(full.code).toBe(0);
    expect(full.output).toMatch(/mood +2 +32 +12 /);
    const figures = result(join(folder, 'whole.json'));
    expect(figures).toMatchObject({
      command: 'main',
      backend: 'wasm',
      seed: 1,
      steps: 6,
      adapter: {type: 'molora', experts: 4, rank: 4, sites: 10},
      trainable: 263168,
      heads: 513 * 5,
      total: 6975744,
      baseUnchanged: true,
    });
    expect(figures.reload.maxDiff).toBeLessThanOrEqual(1e-6);
    expect(figures.tasks.map(({name, classes, train, test}) => [name, classes, train, test])).toEqual([
      ['mood', 2, 32, 12],
      ['theme', 3, 48, 18],
    ]);
    expect(figures.tasks[0]!.majority).toBe(0.5);
    expect(existsSync(join(whole, 'checkpoint.safetensors'))).toBe(false);

    const parts = join(folder, 'parts');
    const stopped = await start([...common, '--out', parts], /training: step 3\/6/);
    expect(stopped.code).toBe(130);
    expect(stopped.errors).toContain('go on with --resume');
    expect(existsSync(join(parts, 'checkpoint.safetensors'))).toBe(true);

    const changed = await start(['--resume', '--out', parts, '--steps', '9']);
    expect(changed.code).toBe(1);
    expect(changed.errors).toBe(
      `error: --resume: the run in ${parts} has steps 6, not 9; leave the option out, or start without --resume\n`,
    );

    const resumed = await start(['--resume', '--out', parts, '--json', join(folder, 'parts.json')]);
    expect(resumed.code).toBe(0);
    const lastLoss = (errors: string) => /step 6\/6 {2}loss [\d.]+/.exec(errors)![0];
    expect(lastLoss(resumed.errors)).toBe(lastLoss(full.errors));
    const again = result(join(folder, 'parts.json'));
    expect({...again, seconds: 0, stepMs: 0}).toEqual({...figures, seconds: 0, stepMs: 0});
    for (const file of ['adapter/adapter_model.safetensors', 'heads.safetensors', 'logits.safetensors']) {
      expect(readFileSync(join(parts, file)).equals(readFileSync(join(whole, file)))).toBe(true);
    }
  }, 180000);

  it.each([
    ['a side network', ['--adapter', 'ismoe'], {type: 'ismoe', experts: 4, sites: 3}, undefined],
    [
      'one beside a quantised base',
      ['--adapter', 'mp-ismoe'],
      {type: 'mp-ismoe', experts: 4, sites: 3},
      'int4',
    ],
    ['an adapter in a quantised base', ['--format', 'nf4'], {type: 'molora', sites: 10}, 'nf4'],
  ] as const)(
    'trains, saves and reloads %s',
    async (name, flags, adapter, format) => {
      const [out, json] = [join(folder, name), join(folder, `${name}.json`)];
      const sizes = ['--tasks-dir', tasks, '--steps', '2', '--batch', '8', '--max-tokens', '8'];
      const {code, errors, output} = await start([...sizes, ...flags, '--out', out, '--json', json]);
      expect(errors).not.toContain('error:');
      expect(code).toBe(0);
      const figures = result(json);
      expect(figures).toMatchObject({adapter, baseUnchanged: true, reload: {maxDiff: 0}, total: 6975744});
      expect(figures.format).toBe(format);
      expect(output).toContain(format === undefined ? 'at 3 sites:' : `of a base in ${format}:`);
      expect(figures.adapterBytes).toBeGreaterThan(4 * figures.trainable);
    },
    300000,
  );

  it('says on one line what is wrong, and exits with 1', async () => {
    writeFileSync(join(tasks, 'mood', 'test.jsonl'), '{"text": "x"');
    for (const [args, message] of [
      [['--stepz', '3'], /^error: --stepz: no such option; see --help\n$/],
      [['--adapter', 'prefix', '--out', join(folder, 'x')], /^error: .*prefix.*\n$/],
      [['--adapter', 'lora', '--experts', '4', '--out', join(folder, 'x')], /^error: .*experts.*\n$/],
      [['--json', folder, '--out', join(folder, 'x')], /^error: --json: .* is a folder; name a file\n$/],
      [['--tasks-dir', tasks], /^error: .*test\.jsonl:1: not JSON .*\n$/],
      [
        ['--resume', '--out', join(folder, 'nothing')],
        /^error: --resume: .* holds no run; start without --resume\n$/,
      ],
      [
        ['--backend', 'webgpu', '--tasks', 'emoji', '--out', join(folder, 'x')],
        /^error: --backend webgpu: not available.*\n$/,
      ],
    ] as const) {
      const {code, errors, output} = await start([...args]);
      expect(errors).toMatch(message);
      expect(code).toBe(1);
      expect(output).toBe('');
    }
  }, 60000);
});
