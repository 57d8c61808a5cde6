/** Golden data in a page of a browser; opened by chromium.ts. */
import {useBackend} from './backend.js';
import type {GoldenCase} from './format.js';
import {type GoldenReport, runCases} from './run.js';
import {parseTensors} from './tensors.js';

const page = {
  /** Runs the cases on a backend; the page asks for a case's file by its own path. */
  async run(backend: string, cases: GoldenCase[]): Promise<GoldenReport> {
    await useBackend(backend);
    return runCases(cases, async (file) => {
      const response = await fetch(`/files/${encodeURIComponent(file)}`);
      if (!response.ok) throw new Error(`no file ${file}`);
      return parseTensors(new Uint8Array(await response.arrayBuffer()), file);
    });
  },
};

export type Page = typeof page;
(globalThis as {page?: Page}).page = page;
