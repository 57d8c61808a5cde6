import {extname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {bundlePage} from '@tfjs-peft/testing/bundle';
import {openChromium} from '@tfjs-peft/testing/chromium';
import type {GoldenCase} from './format.js';
import type {Page} from './page.js';
import type {GoldenReport} from './run.js';

declare const page: Page;

const here = fileURLToPath(import.meta.url);

/**
 * Runs cases in headless Chromium, for a backend that Node does not have.
 *
 * @throws Error, on one line, if there is no Chromium or the page reports an error of its own.
 */
export async function goldenInChromium(backend: string, cases: GoldenCase[]): Promise<GoldenReport> {
  const files = new Set(cases.map(({file}) => file));
  const open = await openChromium({
    script: await bundlePage(join(here, `../page${extname(here)}`)),
    file: (name) => (files.has(name) ? name : undefined),
  });
  try {
    const report = await open.page.evaluate(([name, list]) => page.run(name, list), [
      backend,
      cases,
    ] as const);
    if (open.errors.length > 0) throw new Error(`the page reports: ${open.errors[0]!.split('\n')[0]}`);
    return report;
  } finally {
    await open.close();
  }
}
