import {cpSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {useBackend} from './backend.js';
import {findIndexes} from './format.js';
import {runGolden} from './run.js';

const DATA = join(__dirname, '../../golden');
let folder: string;

beforeAll(() => useBackend('cpu'));
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'golden-'));
});
afterEach(() => rmSync(folder, {recursive: true, force: true}));

function write(cases: object[]): void {
  writeFileSync(join(folder, 'index.json'), JSON.stringify({cases}));
}

test('folders are searched to any depth', () => {
  expect(findIndexes([join(DATA, '..', 'golden')])).toHaveLength(4);
  expect(() => findIndexes([join(folder, 'nowhere')])).toThrow(/nowhere is not a folder/);
});

test('a case that is off by more than its tolerance fails and says where', async () => {
  cpSync(join(DATA, 'mov-molora/lora-dense.safetensors'), join(folder, 'case.safetensors'));
  const config = {site: 'dense', rank: 4, alpha: 15};
  write([{id: 'case', system: 'lora', form: 'code', config, tolerance: {forward: 1e-5, grad: 1e-4}}]);
  const report = await runGolden([folder]);
  expect(report).toMatchObject({passed: 0, failed: 1});
  expect(report.cases[0]!.why).toMatch(
    /forward of out\.(y|delta) deviates by .*; gradient of grad\.\w+ deviates/,
  );
});

test('what the packages cannot express is a failure that names it', async () => {
  cpSync(join(DATA, 'mov-molora/mov-kv-soft.safetensors'), join(folder, 'kv.safetensors'));
  write([
    {id: 'kv', system: 'mov', form: 'code', config: {site: 'logits'}, tolerance: {}},
    {id: 'other', system: 'hypernet', config: {}, tolerance: {}},
  ]);
  const {cases} = await runGolden([folder]);
  expect(cases.map(({why}) => why)).toEqual([
    'not expressible: site logits of mov in the form of the code',
    'not expressible: system hypernet',
  ]);
});

test('a folder without data is an error', async () => {
  await expect(runGolden([folder])).rejects.toThrow(/no index.json in or below/);
});
