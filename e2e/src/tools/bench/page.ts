/** The bench in a page of a browser; opened by chromium.ts. */
import {parseUseLiteWeights} from '../../data/models/use-lite-weights.js';
import type {Row} from './report.js';
import {type Measured, runSuite} from './run.js';
import type {SuiteOptions} from './suite.js';

/** Suite options that a page can be handed: `cases` as the source of its regular expression. */
export type PageSuiteOptions = Omit<SuiteOptions, 'cases' | 'onRow' | 'useLite'> & {
  cases?: string | undefined;
};

/** The suites on USE-lite. */
const WITH_USE_LITE = ['model', 'side', 'quant'];

async function fetchFile(name: string): Promise<Uint8Array> {
  const response = await fetch(`/files/${name}`);
  if (!response.ok) throw new Error(`no file ${name}`);
  return new Uint8Array(await response.arrayBuffer());
}

const page = {
  async run(suite: string, {cases, ...options}: PageSuiteOptions): Promise<Measured> {
    return runSuite(suite, {
      ...options,
      ...(cases !== undefined && {cases: new RegExp(cases)}),
      ...(WITH_USE_LITE.includes(suite) && {useLite: await parseUseLiteWeights(fetchFile)}),
      onRow: (row) => (globalThis as unknown as {onRow: (row: Row) => void}).onRow(row),
    });
  },
};

export type Page = typeof page;
(globalThis as {page?: Page}).page = page;
