import {dawnMissing} from '@tfjs-peft/testing/install-dawn';

import './testing/stock.js';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {chromiumMissing, openPage} from '@tfjs-peft/testing/open-page';
import {unregisterProblems} from './testing/unregister-cases.js';

const BACKENDS = ['cpu', 'wasm', ...(dawnMissing === undefined ? ['webgpu'] : [])];

const clean = (problems: Record<string, string[]>): void => {
  expect(Object.entries(problems).filter(([, names]) => names.length > 0)).toEqual([]);
};

test.each(BACKENDS)('without our entry points tfjs is what it was, on %s', async (backend) => {
  expect(await tf.setBackend(backend)).toBe(true);
  const {problems, patched} = unregisterProblems();
  clean(problems);
  expect(patched).toBeGreaterThan(200);
});

if (chromiumMissing === undefined) {
  test.each(['webgl', 'webgpu'])(
    'and in Chromium, on %s',
    async (backend) => {
      const {page, errors, close} = await openPage(join(__dirname, 'testing/unregister-page.ts'));
      const {active, problems, patched} = await page.evaluate(
        (name) => (globalThis as unknown as {check(name: string): Promise<Checked>}).check(name),
        backend,
      );
      expect(active).toBe(backend);
      clean(problems);
      expect(patched).toBeGreaterThan(200);
      expect(errors).toEqual([]);
      await close();
    },
    120_000,
  );
}

type Checked = ReturnType<typeof unregisterProblems> & {active: string};
