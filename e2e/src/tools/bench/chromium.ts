import {extname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {bundlePage} from '@tfjs-peft/testing/bundle';
import {openChromium} from '@tfjs-peft/testing/chromium';
import {useLiteFolder} from '../../data/models/use-lite-weights.js';
import type {Page} from './page.js';
import type {Row} from './report.js';
import type {Measured} from './run.js';
import type {SuiteOptions} from './suite.js';
import {readSentences} from './suites/sentences.js';

declare const page: Page;

const here = fileURLToPath(import.meta.url);

/**
 * Runs a suite in headless Chromium, for a backend that Node does not have.
 *
 * @throws Error, on one line, if there is no Chromium or the page reports an error of its own.
 */
export async function runInChromium(
  suite: string,
  {cases, onRow, ...options}: SuiteOptions,
): Promise<Measured> {
  const open = await openChromium({
    script: await bundlePage(join(here, `../page${extname(here)}`)),
    file: (name) => (/^[\w.-]+$/.test(name) ? join(useLiteFolder(), name) : undefined),
  });
  try {
    await open.page.exposeFunction('onRow', (row: Row) => onRow?.(row));
    const measured = await open.page.evaluate(([name, handed]) => page.run(name, handed), [
      suite,
      {...options, cases: cases?.source, ...(suite === 'quant' && {sentences: readSentences()})},
    ] as const);
    if (open.errors.length > 0) throw new Error(`the page reports: ${open.errors[0]!.split('\n')[0]}`);
    return measured;
  } finally {
    await open.close();
  }
}
