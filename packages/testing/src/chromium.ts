import {existsSync, readFileSync} from 'node:fs';
import {createServer, type Server} from 'node:http';
import type {AddressInfo} from 'node:net';
import {join} from 'node:path';
import {type Browser, chromium, type Page} from 'playwright-core';

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';

/** Why no browser can run here, and how to get one; undefined if one can. */
export const chromiumMissing = existsSync(CHROMIUM)
  ? undefined
  : `no Chromium at ${CHROMIUM}. Debian: apt-get install chromium; elsewhere: set CHROMIUM_PATH`;

export interface PageOptions {
  /** Path of the bundle that the page runs; or `folder`. */
  script?: string;
  /** A folder with an `index.html`, as a bundler builds it, which is served as it is. */
  folder?: string;
  /**
   * Path of the file that the page gets when it asks for `/files/` and this name; undefined if there is none.
   */
  file?: (name: string) => string | undefined;
  /**
   * Isolate the page from other origins, which gives it shared memory: tfjs's wasm
   * backend then has a threaded heap.
   */
  isolated?: boolean;
}

export interface OpenPage {
  page: Page;
  /**
   * Console errors and uncaught exceptions of the page; a WebGPU validation error is
   * a console line and nothing else.
   */
  errors: string[];
  close: () => Promise<void>;
}

const TYPES: Record<string, string> = {
  '.wasm': 'application/wasm',
  '.json': 'application/json',
  '.js': 'text/javascript',
  '.html': 'text/html',
};

function serve({script, folder, file, isolated}: PageOptions): Server {
  return createServer(({url = '/'}, response) => {
    if (isolated) {
      response.setHeader('cross-origin-opener-policy', 'same-origin');
      response.setHeader('cross-origin-embedder-policy', 'require-corp');
    }
    const send = (path: string | undefined) => {
      if (path === undefined || !existsSync(path)) {
        response.writeHead(404).end();
        return;
      }
      const type = TYPES[/\.\w+$/.exec(path)?.[0] ?? ''] ?? 'application/octet-stream';
      response.setHeader('content-type', type).end(readFileSync(path));
    };
    if (folder !== undefined) {
      const {pathname} = new URL(url, 'http://localhost');
      send(join(folder, pathname === '/' ? 'index.html' : decodeURIComponent(pathname)));
      return;
    }
    if (script !== undefined && url === '/page.js') {
      response.setHeader('content-type', 'text/javascript').end(readFileSync(script));
      return;
    }
    if (!url.startsWith('/files/')) {
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>tfjs-peft</title>');
      return;
    }
    send(file?.(decodeURIComponent(url.slice('/files/'.length))));
  });
}

/**
 * Opens a page of headless Chromium that has run a bundle.
 *
 * @throws Error, on one line, if there is no Chromium.
 */
export async function openChromium(options: PageOptions): Promise<OpenPage> {
  if (chromiumMissing !== undefined) throw new Error(chromiumMissing);
  const server = serve(options);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    // Chromium gives no software WebGPU adapter without the last one.
    args: ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-sync', '--enable-unsafe-webgpu'],
  });
  try {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', ({message}) => errors.push(message));
    page.on('console', (message) => {
      if (message.type() === 'error' || /validation/i.test(message.text())) errors.push(message.text());
    });
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    if (options.script !== undefined) await page.addScriptTag({url: '/page.js'});
    return {page, errors, close: () => close(browser, server)};
  } catch (error) {
    await close(browser, server);
    throw error;
  }
}

async function close(browser: Browser, server: Server): Promise<void> {
  await browser.close();
  await new Promise((done) => server.close(done));
}
