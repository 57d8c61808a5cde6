import {dawnMissing} from '@tfjs-peft/testing/install-dawn';

import '@tensorflow/tfjs-backend-webgpu';
import '@tfjs-peft/kernels/auto';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {watchGpu} from '@tfjs-peft/testing/dawn';
import {chromiumMissing, type OpenPage, openPage} from '@tfjs-peft/testing/open-page';
import type {RouterPage} from '../../testing/router-page.js';
import {ROUTERS, routerStep, stepDeviation} from '../../testing/router-steps.js';

declare const page: RouterPage;

jest.setTimeout(180_000);

const TOLERANCE = 1e-4;
const cases = ROUTERS.map((router, i) => [JSON.stringify(router), i] as const);
const want: number[][] = [];

beforeAll(async () => {
  await tf.setBackend('cpu');
  for (const router of ROUTERS) want.push(await routerStep(router));
});

if (dawnMissing !== undefined) {
  test.skip(`every router on webgpu: ${dawnMissing}`, () => {});
} else {
  describe('on webgpu, a training step as on cpu', () => {
    let errors: string[];
    beforeAll(async () => {
      await tf.setBackend('webgpu');
      await tf.ready();
      errors = watchGpu();
    });
    afterEach(() => expect(errors.splice(0)).toEqual([]));

    test.each(cases)('%s', async (_, i) => {
      expect(stepDeviation(want[i]!, await routerStep(ROUTERS[i]!))).toBeLessThanOrEqual(TOLERANCE);
    });
  });
}

if (chromiumMissing !== undefined) {
  test.skip(`every router on webgl: ${chromiumMissing}`, () => {});
} else {
  describe('on webgl, a training step as on cpu', () => {
    let open: OpenPage;
    beforeAll(async () => {
      open = await openPage(join(__dirname, '../../testing/router-page.ts'));
      expect(await open.page.evaluate(() => page.use('webgl'))).toBe('webgl');
    });
    afterAll(() => open?.close());
    afterEach(() => expect(open.errors.splice(0)).toEqual([]));

    test.each(cases)('%s', async (_, i) => {
      const got = await open.page.evaluate((at) => page.step(at), i);
      expect(stepDeviation(want[i]!, got)).toBeLessThanOrEqual(TOLERANCE);
    });

    test('the norm of a column of zeros is above 0 in textures of halves', async () => {
      const norms = await open.page.evaluate(() => page.normsInHalves());
      expect(norms[0]).toBeCloseTo(Math.SQRT2, 2);
      expect(norms[1]).toBeCloseTo(2 * Math.SQRT2, 2);
      expect(norms[2]).toBeGreaterThan(0);
    });

    test('DoRA with a column of zeros trains in textures of halves', async () => {
      expect(await open.page.evaluate(() => page.halves())).toBe(true);
    });
  });
}
