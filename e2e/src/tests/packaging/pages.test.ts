import {execFileSync} from 'node:child_process';
import {cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {chromiumMissing, type OpenPage, openChromium} from '@tfjs-peft/testing/chromium';
import {install, PACKAGES, pack} from './install.js';

const ROOT = join(__dirname, '../../../..');
const WASM = join(ROOT, 'node_modules/@tensorflow/tfjs-backend-wasm/dist');

interface Life {
  backend: string;
  losses: number[];
  before: number[];
  after: number[];
  loaded: number[];
}

/** What the page's program puts there. */
declare const window: {live?(backend: string): Promise<Life>};

function furthest(a: number[], b: number[]): number {
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
}

if (chromiumMissing !== undefined) {
  test.skip(`production builds of a page in a browser: ${chromiumMissing}`, () => {});
} else {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-pages-'));
    const tarballs = Object.fromEntries(PACKAGES.map((name) => [name, pack(ROOT, name, folder)]));
    const backends = ['wasm', 'webgpu'].map((name) => `@tensorflow/tfjs-backend-${name}`);
    install(ROOT, tarballs, ['kernels', 'layers'], folder, ['@tensorflow/tfjs', ...backends]);
    writeFileSync(join(folder, 'package.json'), '{"private": true}');
    cpSync(join(__dirname, 'page'), folder, {recursive: true});
    mkdirSync(join(folder, 'public'));
    for (const file of readdirSync(WASM).filter((name) => name.endsWith('.wasm')))
      cpSync(join(WASM, file), join(folder, 'public', file));
  });
  afterAll(() => rmSync(folder, {recursive: true, force: true}));

  describe.each(['vite', 'webpack'])(
    'a page of the packed packages, built for production by %s,',
    (bundler) => {
      let open: OpenPage;
      beforeAll(async () => {
        execFileSync(process.execPath, [join(__dirname, 'bundlers.mjs'), 'page', folder, bundler], {
          stdio: ['ignore', 'ignore', 'pipe'],
        });
        open = await openChromium({folder: join(folder, bundler)});
        await open.page.waitForFunction(() => window.live !== undefined);
      }, 300_000);
      afterAll(() => open?.close());

      test.each(['wasm', 'webgl', 'webgpu'])(
        'upgrades a model, trains it, saves and loads the adapter on %s',
        async (backend) => {
          const life = await open.page.evaluate((name) => window.live!(name), backend);
          expect(open.errors).toEqual([]);
          expect(life.backend).toBe(backend);
          expect(life.losses[2]).toBeLessThan(life.losses[0]!);
          expect(furthest(life.after, life.before)).toBeGreaterThan(1e-3);
          expect(furthest(life.loaded, life.after)).toBeLessThan(1e-5);
        },
        120_000,
      );
    },
  );
}
