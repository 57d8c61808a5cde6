import {dawnMissing} from '@tfjs-peft/testing/install-dawn';

import '@tensorflow/tfjs-backend-wasm';
import '@tensorflow/tfjs-backend-webgpu';
import '@tfjs-peft/kernels/auto';
import {join} from 'node:path';
import {setTimeout} from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs';
import {chromiumMissing, type OpenPage, openPage} from '@tfjs-peft/testing/open-page';
import {Downloads} from './downloaded.js';
import type {Page} from './page.js';
import {ADAPTERS, type Life, loadAndRun} from './scenario.js';

declare const page: Page;

jest.setTimeout(120_000);

const TOLERANCE = 1e-4;
const BACKENDS = ['wasm', 'webgpu', 'webgl'];
const cases = ADAPTERS.map(({type}, i) => [type, i] as const);

function expectClose(got: number[], want: number[]): void {
  expect(got).toHaveLength(want.length);
  got.forEach((value, i) => {
    expect(Math.abs(value - want[i]!)).toBeLessThanOrEqual(TOLERANCE);
  });
}

if (chromiumMissing !== undefined) {
  test.skip(`adapters in a browser: ${chromiumMissing}`, () => {});
} else {
  let open: OpenPage;
  let downloads: Downloads;
  const lives = new Map<string, Life>();

  beforeAll(async () => {
    open = await openPage(join(__dirname, 'page.ts'));
    downloads = new Downloads(open.page);
  });
  afterAll(() => open?.close());
  afterEach(() => expect(open.errors.splice(0)).toEqual([]));

  describe.each(BACKENDS)('in Chromium on %s', (backend) => {
    beforeAll(async () => {
      expect(await open.page.evaluate((name) => page.use(name), backend)).toBe(backend);
    });

    test.each(cases)('%s is fitted, saved and loaded', async (type, i) => {
      const life = await open.page.evaluate((at) => page.live(at), i);
      await downloads.handler(`${backend}-${type}`).load!();
      // Chromium drops a page's downloads, without a word, when more than ten come within a second.
      await setTimeout(500);
      expect(life.losses.at(-1)).toBeLessThan(life.losses[0]!);
      expect(life.outputs.every(Number.isFinite)).toBe(true);
      expectClose(life.again, life.outputs);
      expect(life.leaked).toBe(0);
      lives.set(`${backend}-${type}`, life);
    });
  });

  const inNode = (backend: string) => {
    beforeAll(async () => {
      expect(await tf.setBackend(backend)).toBe(true);
      await tf.ready();
      tf.env().set('WEBGPU_CPU_FORWARD', false);
    });

    test.each(cases)('%s, downloaded from each, has the same outputs', async (type) => {
      for (const from of BACKENDS) {
        const name = `${from}-${type}`;
        expectClose(await loadAndRun(downloads.handler(name)), lives.get(name)!.outputs);
      }
    });
  };
  describe('in Node on wasm', () => inNode('wasm'));
  if (dawnMissing !== undefined) test.skip(`in Node on webgpu: ${dawnMissing}`, () => {});
  else describe('in Node on webgpu', () => inNode('webgpu'));
}
