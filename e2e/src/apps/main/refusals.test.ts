import {spawn} from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {hostname, tmpdir} from 'node:os';
import {join} from 'node:path';
import {readArrays, writeArrays} from '../common/files.js';
import {bundleScripts} from '../testing/bundle.js';
import {runScript} from '../testing/program.js';
import {writeTasks} from './testing/tasks.js';

jest.setTimeout(300_000);

const root = join(__dirname, '../../../..');
let folder: string;
let script: string;
let tasks: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'refusals-'));
  tasks = join(folder, 'tasks');
  writeTasks(tasks);
  script = join(await bundleScripts(root, 'apps/main', ['cli', 'reload', 'worker'], 'refusals'), 'cli.js');
});
afterAll(() => rmSync(folder, {recursive: true, force: true}));

let count = 0;
const fresh = () => join(folder, `out-${count++}`);

/** What the program says on its one line when it refuses. */
async function refusal(...args: string[]): Promise<string> {
  const {code, errors, output} = await runScript(script, args);
  expect(errors).toMatch(/^error: [^\n]*\n$/);
  expect([code, output]).toEqual([1, '']);
  return errors;
}

describe('the command line', () => {
  it('is refused before anything is loaded, with what it takes', async () => {
    const out = fresh();
    for (const [args, why] of [
      [['--router', 'nope'], /--router: no "nope"; choose from softmax, top-k, noisy-top-k, .*composite\n/],
      [['--adapter', 'nope'], /--adapter: no "nope"; choose from lora, .*lime, .*\n/],
      [['--experts', '1e9'], /--experts: "1e9" is not a whole number above 0 and at most 65536/],
      [['--rank', '1e9'], /--rank: "1e9" is not/],
      [['--batch', '1e9'], /--batch: "1e9" is not/],
      [['--lr', '1e30'], /--lr: "1e30" is not a number above 0 and at most 10/],
      [
        ['--experts', '1000', '--rank', '1000'],
        /--experts, --rank: molora would add [\d,]+ parameters to a layer/,
      ],
      [['--max-train', '1', '--tasks-dir', tasks], /--max-train: 1 is fewer than the 2 classes of mood/],
    ] as const) {
      expect(await refusal(...args, '--out', out)).toMatch(why);
      expect(existsSync(out)).toBe(false);
    }
  });
});

describe('what is written', () => {
  it.each([
    ['a file under a file', (file: string) => join(file, 'x.json'), 'not a directory'],
    ['a folder that cannot be', () => '/proc/nothing/x.json', 'no such file or directory'],
  ])('is tried before the run: --json at %s', async (_, path, reason) => {
    const file = join(folder, 'a file');
    writeFileSync(file, 'kept');
    expect(await refusal('--tasks-dir', tasks, '--out', fresh(), '--json', path(file))).toContain(
      `--json: ${path(file)} cannot be written (${reason}); name another file`,
    );
    expect(readFileSync(file, 'utf8')).toBe('kept');
  });

  it.each([['a file'], ['a file/below']])('is tried before the run: --out at %s', async (name) => {
    writeFileSync(join(folder, 'a file'), 'kept');
    const out = join(folder, name);
    expect(await refusal('--tasks-dir', tasks, '--out', out)).toContain(
      `nothing can be written into ${out} (`,
    );
  });
});

describe('a folder with a run', () => {
  it('is the run’s own until it ends, also if it dies', async () => {
    const out = fresh();
    mkdirSync(out);
    // A process that is alive, and after it is not.
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    const started = readFileSync(`/proc/${other.pid}/stat`, 'utf8')
      .replace(/^.*\)/s, '')
      .trim()
      .split(/\s+/)[19];
    const lock = join(out, '.lock');
    writeFileSync(lock, JSON.stringify({pid: other.pid, host: hostname(), started}));
    const args = ['--tasks-dir', tasks, '--steps', '1', '--batch', '4', '--max-tokens', '8', '--out', out];
    const message = await refusal(...args);
    expect(message).toContain(
      `--out: another run is at work in ${out} (process ${other.pid} on ${hostname()})`,
    );
    expect(readdirSync(out)).toEqual(['.lock']);
    await new Promise((resolve) => {
      other.on('close', resolve);
      other.kill('SIGKILL');
    });
    const {code, errors} = await runScript(script, [...args, '--quiet']);
    expect([code, errors]).toEqual([0, '']);
    expect(existsSync(lock)).toBe(false);
  });
});

describe('--resume', () => {
  let out: string;
  const stored = () => JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')) as Record<string, unknown>;
  const checkpoint = () => join(out, 'checkpoint.safetensors');

  beforeAll(async () => {
    out = fresh();
    const args = ['--tasks-dir', tasks, '--steps', '8', '--batch', '4', '--max-tokens', '8', '--out', out];
    const {code} = await runScript(script, args, {signalAt: /training: step 2\/8/, signal: 'SIGTERM'});
    expect(code).toBe(143);
  });

  it.each<[string, unknown, RegExp]>([
    [
      'nothing',
      {},
      /run\.json: tasks, model, .* missing, so it is not a run's options; start without --resume/,
    ],
    ['a list', [], /run\.json: \[\] is not a run's options/],
    ['no object', null, /run\.json: null is not a run's options/],
    ['another adapter', {adapter: 'nope'}, /run\.json: --adapter: no "nope"/],
    ['a size that nothing has', {experts: 1e9}, /run\.json: --experts: "1000000000" is not/],
    ['an object for a number', {batch: {}}, /run\.json: --batch: /],
  ])('refuses a run.json with %s', async (_, value, why) => {
    const before = stored();
    const partial = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
    writeFileSync(join(out, 'run.json'), JSON.stringify(partial ? {...before, ...value} : value));
    try {
      expect(await refusal('--resume', '--out', out)).toMatch(why);
    } finally {
      writeFileSync(join(out, 'run.json'), JSON.stringify(before));
    }
  });

  type About = {version: number; steps: number; position: Record<string, unknown>; probes: {task: string}[]};
  it.each<[string, (about: About, arrays: ReturnType<typeof readArrays>['arrays']) => void, RegExp]>([
    [
      'of another version',
      (about) => {
        about.version = 2;
      },
      /a checkpoint of version 2, and this program goes on with 1/,
    ],
    [
      'at a step that it has not',
      (about) => {
        about.position.step = 1e9;
      },
      /its step 1000000000 is none of its 8/,
    ],
    [
      'with steps without end',
      (about) => {
        about.steps = Number.POSITIVE_INFINITY;
      },
      /its number of steps is none/,
    ],
    [
      'without a position',
      (about) => {
        about.position = {};
      },
      /its step undefined is none/,
    ],
    [
      'of other tasks',
      (about) => {
        about.probes[0]!.task = 'x';
      },
      /of another run: its tasks are \["x","theme"\]/,
    ],
    [
      'of other steps',
      (about) => {
        about.steps = 9;
      },
      /of another run: it has 9 steps, not 8/,
    ],
    [
      'without one of its arrays',
      (_, arrays) => {
        arrays.delete('best/head/0/bias');
      },
      /best\/head\/0\/bias is missing/,
    ],
    [
      'with a value that is none',
      (_, arrays) => {
        arrays.get('values/adapter/0')!.values[3] = Number.NaN;
      },
      /values\/adapter\/0 holds values that are no numbers/,
    ],
    [
      'with an array of another shape',
      (_, arrays) => {
        arrays.set('first/adapter/0', {shape: [2], values: new Float32Array(2)});
      },
      /first\/adapter\/0 has the shape \[2\], not/,
    ],
  ])('refuses a checkpoint %s', async (_, change, why) => {
    const before = readFileSync(checkpoint());
    const {arrays, about} = readArrays<About>(checkpoint());
    change(about, arrays);
    writeArrays(checkpoint(), arrays, about);
    try {
      expect(await refusal('--resume', '--quiet', '--out', out)).toMatch(why);
    } finally {
      writeFileSync(checkpoint(), before);
    }
  });

  it('refuses a checkpoint that is cut short', async () => {
    const before = readFileSync(checkpoint());
    writeFileSync(checkpoint(), before.subarray(0, 1000));
    expect(await refusal('--resume', '--out', out)).toMatch(/checkpoint\.safetensors: cannot be read \(/);
    writeFileSync(checkpoint(), before);
  });

  it('refuses a result that is none', async () => {
    const path = join(out, 'result.json');
    writeFileSync(path, '{"command": "main", "seed": 1}');
    expect(await refusal('--resume', '--out', out)).toMatch(
      /result\.json: not the result of a run with seed 1/,
    );
    rmSync(path);
  });
});

describe('a run that is ended', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('by %s in its first moment exits with %i and leaves nothing', async (signal, exitCode) => {
    const out = fresh();
    // The signal comes as soon as somebody listens: long before the libraries are loaded.
    const early = `process.on('newListener', (name) => name === '${signal}' && process.nextTick(() => process.kill(process.pid, name)))`;
    const {code, errors, output} = await runScript(script, ['--tasks-dir', tasks, '--out', out], {
      node: ['--import', `data:text/javascript,${encodeURIComponent(early)}`],
    });
    expect([code, errors, output]).toEqual([exitCode, '\ninterrupted\n', '']);
    expect(existsSync(out)).toBe(false);
  });
});

describe('--tasks-dir', () => {
  it('with a link to nothing names the link', async () => {
    const linked = join(folder, 'linked');
    writeTasks(linked);
    symlinkSync(join(folder, 'nowhere'), join(linked, 'gone'));
    expect(await refusal('--tasks-dir', linked, '--out', fresh())).toContain(
      `${join(linked, 'gone')}: a link to something that is not there; mend it or remove it`,
    );
  });
});
