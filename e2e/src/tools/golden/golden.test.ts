import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {useBackend} from './backend.js';
import {type GoldenCase, readCases} from './format.js';
import {runCase} from './run.js';

const DATA = join(__dirname, '../../../golden');

const adapters = readCases(join(DATA, 'mov-molora'));
const experts = readCases(join(DATA, 'lime-mor1e'));
const quantisers = readCases(join(DATA, 'mp-ismoe')).filter(({system}) => /^(quant|gnpiq)$/.test(system));
const sides = readCases(join(DATA, 'mp-ismoe')).filter(({system}) => ['ismoe', 'sidenet'].includes(system));

async function expectPass(golden: GoldenCase): Promise<void> {
  const result = await runCase(golden);
  expect(result).toMatchObject({ok: true, why: ''});
}

test('the due cases are there', () => {
  expect(adapters).toHaveLength(28);
  expect(experts).toHaveLength(47);
  expect(quantisers).toHaveLength(59);
  expect(sides).toHaveLength(17);
});

describe.each(['cpu', 'wasm'])('%s', (backend) => {
  beforeAll(() => useBackend(backend));
  test.each([...adapters, ...experts, ...sides].map((golden) => [golden.id, golden] as const))(
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
