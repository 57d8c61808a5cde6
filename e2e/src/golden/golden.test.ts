import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {useBackend} from './backend.js';
import {type GoldenCase, readCases} from './format.js';
import {runCase} from './run.js';

const DATA = join(__dirname, '../../golden');
const BLOCKS = ['molora-mlp', 'molora-attn', 'lora-attn', 'ia3-attn'];

const adapters = readCases(join(DATA, 'mov-molora')).filter(
  ({id, form, config}) => config.site === 'dense' || form === 'paper' || BLOCKS.includes(id),
);
/** All but the prompt and embedding sites, the loss that is averaged over layers, and the sentence embedding. */
const experts = readCases(join(DATA, 'lime-mor1e')).filter(
  ({id}) => !/prompt|embedding|balance|intuition$/.test(id) || id.endsWith('-no-intuition'),
);
const quantisers = readCases(join(DATA, 'mp-ismoe')).filter(
  ({system, config}) => system === 'quant' && config.format !== 'nf4',
);

async function expectPass(golden: GoldenCase): Promise<void> {
  const result = await runCase(golden);
  expect(result).toMatchObject({ok: true, why: ''});
}

test('the due cases are there', () => {
  expect(adapters.map(({id}) => id).sort()).toEqual([
    'ia3-attn',
    'lora-attn',
    'lora-dense',
    'molora-attn',
    'molora-dense-init',
    'molora-dense-soft',
    'molora-dense-top1',
    'molora-dense-top2',
    'molora-mlp',
    'mov-paper-ffn',
    'mov-paper-kv',
    'mov-paper-kv-top2',
  ]);
  expect(experts).toHaveLength(40);
  expect(quantisers.length).toBe(43);
});

describe.each(['cpu', 'wasm'])('%s', (backend) => {
  beforeAll(() => useBackend(backend));
  test.each([...adapters, ...experts].map((golden) => [golden.id, golden] as const))(
    '%s',
    async (_id, golden) => {
      const before = tf.memory().numTensors;
      await expectPass(golden);
      expect(tf.memory().numTensors).toBe(before);
    },
  );
});

test.each(quantisers.map((golden) => [golden.id, golden] as const))('%s', (_id, golden) =>
  expectPass(golden),
);
