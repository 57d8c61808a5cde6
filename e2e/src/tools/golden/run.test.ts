import {cpSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {useBackend} from './backend.js';
import {findIndexes, readCases} from './format.js';
import {runCase, runGolden} from './run.js';

const DATA = join(__dirname, '../../../golden');
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

test.each<[string, object, string]>([
  ['lime-prompt-mean', {conditioning: 'max'}, 'a prompt conditioned by max'],
  ['lime-paper-lora-auto', {dropout: 0.1}, 'dropout without in.dropout_scale'],
  ['lime-paper-lora-auto', {eps: 1e-3}, "a normaliser's floor of 0.001"],
  ['lime-paper-lora-auto', {routing_streams: 'input'}, 'routing streams input'],
  ['lime-paper-lora-auto', {peft: 'houlsby'}, 'LiME over houlsby'],
  ['mor1e-rank1', {logit_scale: 10}, 'scalars that are multiplied by 10'],
])('of %s with %j, it says: %s', async (id, change, why) => {
  const golden = readCases(join(DATA, 'lime-mor1e')).find((found) => found.id === id)!;
  const result = await runCase({...golden, config: {...golden.config, ...change}});
  expect(result).toMatchObject({ok: false, why: `not expressible: ${why}`});
});

test('a loss that is balanced at other steps is another loss', async () => {
  const golden = readCases(join(DATA, 'lime-mor1e')).find(({id}) => id === 'lime-balance-two-layers')!;
  const result = await runCase({...golden, config: {...golden.config, balance_every: 3}});
  expect(result.forward).toBeGreaterThan(1e-5);
  expect(result.why).toMatch(/forward of out\.loss_per_call deviates/);
});

test('a folder of PEFT is named as one, whatever its type', async () => {
  const {cases} = await runGolden([join(DATA, 'peft')]);
  expect(cases).toHaveLength(13);
  expect(new Set(cases.map(({why}) => why))).toEqual(new Set(['not expressible: PEFT folders']));
});

test.each([
  ['{', /index\.json is no JSON/],
  ['null', /index\.json has no list of cases/],
  ['{"cases": [{"id": "a"}, {"system": "lora"}]}', /index\.json: case 2 has no id/],
  ['{"cases": [null]}', /index\.json: case 1 has no id/],
])('an index of %s is an error that names it', async (text, message) => {
  writeFileSync(join(folder, 'index.json'), text);
  await expect(runGolden([folder])).rejects.toThrow(message);
});

test('a folder without data is an error', async () => {
  await expect(runGolden([folder])).rejects.toThrow(/no index.json in or below/);
});
