import {execFileSync} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {createServer, type Server} from 'node:http';
import {createRequire} from 'node:module';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {type Browser, chromium, type Page} from 'playwright-core';

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';

/** Why no browser can run here, or undefined if one can. */
export const chromiumMissing = existsSync(CHROMIUM)
  ? undefined
  : 'no Chromium. Debian: apt-get install chromium; elsewhere: set CHROMIUM_PATH';

export interface OpenPage {
  page: Page;
  /** Console errors and uncaught exceptions of the page. */
  errors: string[];
  close: () => Promise<void>;
}

/**
 * Bundles a TypeScript entry and opens a page of headless Chromium that has run it.
 *
 * @param isolated Isolate the page from other origins, which gives it shared memory: tfjs's wasm backend then has a threaded heap.
 */
export async function openPage(entry: string, isolated = false): Promise<OpenPage> {
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-page-'));
  const bundle = join(folder, 'page.js');
  const flags = [
    '--bundle',
    '--format=iife',
    '--define:global=globalThis',
    // The package's sideEffects list names built files; this bundles the sources.
    '--ignore-annotations',
    '--log-level=error',
    `--outfile=${bundle}`,
  ];
  execFileSync(join(process.cwd(), 'node_modules/.bin/esbuild'), [entry, ...flags]);
  const wasm = dirname(
    createRequire(join(process.cwd(), 'package.json')).resolve(
      '@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm.wasm',
    ),
  );
  const server = createServer(({url = '/'}, response) => {
    if (isolated) {
      response.setHeader('cross-origin-opener-policy', 'same-origin');
      response.setHeader('cross-origin-embedder-policy', 'require-corp');
    }
    if (url.startsWith('/wasm/')) {
      response.setHeader('content-type', 'application/wasm').end(readFileSync(join(wasm, basename(url))));
    } else if (url === '/page.js') {
      response.setHeader('content-type', 'text/javascript').end(readFileSync(bundle));
    } else {
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>tfjs-peft</title>');
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    // Chromium gives no software WebGPU adapter without the last one.
    args: ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-sync', '--enable-unsafe-webgpu'],
  });
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', ({message}) => errors.push(message));
  page.on('console', (message) => {
    // A WebGPU validation error is only a console line: the results are zeros.
    if (message.type() === 'error' || /validation/i.test(message.text())) errors.push(message.text());
  });
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.addScriptTag({url: '/page.js'});
  return {page, errors, close: () => close(browser, server, folder)};
}

async function close(browser: Browser, server: Server, folder: string): Promise<void> {
  await browser.close();
  await new Promise((done) => server.close(done));
  rmSync(folder, {recursive: true, force: true});
}
