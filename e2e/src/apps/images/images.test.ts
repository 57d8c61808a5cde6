import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {bundleScripts} from '../testing/bundle.js';
import {runScript} from '../testing/program.js';
import type {ImagesResult} from './result.js';
import {writePictures} from './testing/pictures.js';

jest.setTimeout(300_000);

let folder: string;
let script: string;
let pictures: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'images-'));
  pictures = join(folder, 'my pictures');
  writePictures(pictures, 10);
  script = join(
    await bundleScripts(join(__dirname, '../../../..'), 'apps/images', ['cli', 'reload'], 'images'),
    'cli.js',
  );
});
afterAll(() => rmSync(folder, {recursive: true, force: true}));

describe('the images job', () => {
  it('trains on a folder of pictures, saves, and finds the same in a second process', async () => {
    const json = join(folder, 'figures.json');
    const out = join(folder, 'out');
    const args = ['--images-dir', pictures, '--epochs', '1', '--lr', '0.001', '--out', out, '--json', json];
    const {code, errors, output} = await runScript(script, args);
    expect(errors).not.toContain('error:');
    expect(code).toBe(0);
    expect(errors).toMatch(/my pictures, seed 1: rate 0\.001, epoch 1: loss [\d.]+, validation [\d.]+/);
    expect(errors).toMatch(/pictures through the model \d+\/\d+ .* \d+:\d\d left/);
    expect(output).toMatch(/my pictures +2 +10 +4 +6 /);
    const figures = JSON.parse(readFileSync(json, 'utf8')) as ImagesResult;
    expect(figures).toMatchObject({
      command: 'images',
      backend: 'wasm',
      seeds: [1],
      adapter: {type: 'molora', experts: 4, rank: 4, sites: 9},
      baseUnchanged: true,
      reload: {maxDiff: 0},
      tasks: [{name: 'my pictures', classes: 2, train: 10, validation: 4, test: 6, rate: 0.001}],
    });
    const [task] = figures.tasks;
    expect(task!.gain).toBeCloseTo(task!.adapted - task!.probe, 12);
    expect([0, 1]).toContain(task!.keptEpoch);
    expect(existsSync(join(out, 'my pictures/seed-1/adapter/adapter_model.safetensors'))).toBe(true);
    expect(existsSync(join(out, '.lock'))).toBe(false);
  });

  it('says on one line what is wrong before it works, and exits with 1', async () => {
    const broken = join(folder, 'broken');
    writePictures(broken, 10);
    writeFileSync(join(broken, 'blue', '3.jpg'), 'no picture');
    const out = join(folder, 'never');
    for (const [args, why] of [
      [
        ['--tasks', 'cats'],
        /--tasks: no task "cats"; choose from digits, emoji-category, emoji-vendor, or use --images-dir/,
      ],
      [['--tasks', 'digits', '--images-dir', pictures], /--tasks and --images-dir: give one of them/],
      [['--adapter', 'nope'], /--adapter: no "nope"; choose from lora, /],
      [['--seeds', '1,1'], /--seeds: a seed is given twice/],
      [['--epochs', '0'], /--epochs: "0" is not a whole number above 0/],
      [['--flip'], /--flip: of --images-dir only/],
      [['--images-dir', join(folder, 'nothing')], /--images-dir: .*nothing is not a folder/],
      [
        ['--images-dir', pictures, '--max-train', '1'],
        /--max-train: 1 is fewer than the 2 classes of my pictures/,
      ],
      [['--images-dir', pictures, '--json', folder], /--json: .* is a folder; name a file/],
      [['--images-dir', broken], /broken\/blue\/3\.jpg: neither PNG nor JPEG/],
    ] as const) {
      const {code, errors, output} = await runScript(script, [...args, '--out', out, '--quiet']);
      expect(errors).toMatch(/^error: [^\n]*\n$/);
      expect(errors).toMatch(why);
      expect([code, output]).toEqual([1, '']);
      expect(existsSync(out)).toBe(false);
    }
  });

  it('stops at Ctrl-C with exit code 130', async () => {
    const args = ['--images-dir', pictures, '--epochs', '50', '--out', join(folder, 'stopped')];
    const {code, errors} = await runScript(script, args, {signalAt: /epoch 1: loss/});
    expect(code).toBe(130);
    expect(errors).toMatch(/\ninterrupted\n$/);
  });
});
