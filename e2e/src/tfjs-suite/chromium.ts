import {existsSync, readFileSync} from 'node:fs';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {chromium} from 'playwright-core';
import type {Outcome} from './outcome.js';

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';

/**
 * Runs a bundle of specs in a page of headless Chromium.
 *
 * @throws Error if there is no Chromium, or if the page breaks before the specs are through.
 */
export async function runInChromium(script: string): Promise<Outcome> {
  if (!existsSync(CHROMIUM)) {
    throw new Error(
      `no Chromium at ${CHROMIUM}. Debian: apt-get install chromium; elsewhere: set CHROMIUM_PATH`,
    );
  }
  const server = createServer(({url}, response) => {
    if (url === '/specs.js') {
      response.setHeader('content-type', 'text/javascript').end(readFileSync(script));
    } else {
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>tfjs-core specs</title>');
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-sync'],
  });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.addScriptTag({url: '/specs.js'});
    return await page.evaluate(async () => {
      const {outcome} = globalThis as unknown as {outcome?: Promise<Outcome>};
      if (outcome === undefined) throw new Error('the bundle of specs did not load');
      return outcome;
    });
  } finally {
    await browser.close();
    await new Promise((done) => server.close(done));
  }
}
