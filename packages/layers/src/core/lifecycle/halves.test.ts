import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {chromiumMissing, type OpenPage, openPage} from '@tfjs-peft/testing/open-page';
import {loadPeft, upgrade} from '../../index.js';
import {halvesNet, type Stored, storedIn, storedOf} from '../../testing/halves-net.js';
import type {HalvesPage} from '../../testing/halves-page.js';

declare const page: HalvesPage;

let onCpu: Stored;

beforeAll(async () => {
  await tf.setBackend('cpu');
  const model = halvesNet();
  onCpu = await storedOf(
    await upgrade(model, {adapter: {type: 'lora', rank: 2}, targets: ['hidden'], seed: 1}),
  );
});

if (chromiumMissing !== undefined) {
  test.skip(`webgl with textures of halves: ${chromiumMissing}`, () => {});
} else {
  describe('where weights are kept as halves', () => {
    let open: OpenPage;
    beforeAll(async () => {
      open = await openPage(join(__dirname, '../../testing/halves-page.ts'));
      expect(await open.page.evaluate(() => page.use('halves'))).toBe(true);
    }, 120_000);
    afterAll(() => open.close());

    test('a file that was saved elsewhere loads into the same base after it has run', async () => {
      expect(await open.page.evaluate((stored) => page.load(stored), onCpu)).toBe('');
    });

    test.each([{seed: 100}, {factor: 1.05}, {factor: -1}])('and not into another one: %j', async (net) => {
      const error = await open.page.evaluate(([stored, other]) => page.load(stored, other), [
        onCpu,
        net,
      ] as const);
      expect(error).toMatch(/WeightMismatchError.*'hidden.kernel' has other values.*ignoreBase/);
    });

    test('a file that was saved there loads there and on cpu, into the same base alone', async () => {
      const there = await open.page.evaluate(() => page.save());
      expect(await open.page.evaluate((stored) => page.load(stored), there)).toBe('');
      await loadPeft(halvesNet(), storedIn(there));
      await expect(loadPeft(halvesNet({factor: 1.05}), storedIn(there))).rejects.toThrow(/has other values/);
      await expect(loadPeft(halvesNet({seed: 100}), storedIn(there))).rejects.toThrow(/has other values/);
    });

    test('a file of the first version, which knows exact values only, says what to do', async () => {
      const old = JSON.parse(JSON.stringify(onCpu)) as Stored;
      const {base} = old.artifacts.modelTopology as {base: {weights: {sketch?: string}[]}};
      for (const weight of base.weights) delete weight.sketch;
      const error = await open.page.evaluate((stored) => page.load(stored), old);
      expect(error).toMatch(/rounds weights to float16.*before the model has run.*ignoreBase/);
      const anyway = await open.page.evaluate((stored) => page.load(stored, {}, {ignoreBase: true}), old);
      expect(anyway).toBe('');
    });
  });

  test('textures of float32 keep exact values, and the base is known by them', async () => {
    const open = await openPage(join(__dirname, '../../testing/halves-page.ts'));
    try {
      expect(await open.page.evaluate(() => page.use('float32'))).toBe(false);
      expect(await open.page.evaluate((stored) => page.load(stored), onCpu)).toBe('');
      const error = await open.page.evaluate((stored) => page.load(stored, {factor: 1.0001}), onCpu);
      expect(error).toMatch(/has other values/);
    } finally {
      await open.close();
    }
  }, 120_000);
}

test('elsewhere the base is known by its exact values', async () => {
  await loadPeft(halvesNet(), storedIn(onCpu));
  await expect(loadPeft(halvesNet({factor: 1.0001}), storedIn(onCpu))).rejects.toThrow(/has other values/);
});
