import {checkBackend, useBackend} from '../golden/backend.js';
import type {Row} from './report.js';
import type {Suite, SuiteOptions} from './suite.js';

/** One file a suite, loaded only when it is asked for. */
export const SUITES: Record<string, () => Promise<Suite>> = {
  layer: async () => (await import('./suites/layer.js')).layerSuite,
  graph: async () => (await import('./suites/graph.js')).graphSuite,
  gemm: async () => (await import('./suites/gemm.js')).gemmSuite,
  model: async () => (await import('./suites/model.js')).modelSuite,
  quant: async () => (await import('./suites/quant.js')).quantSuite,
  side: async () => (await import('./suites/side.js')).sideSuite,
  adapters: async () => (await import('./suites/adapters.js')).adaptersSuite,
};

export interface Measured {
  rows: Row[];
  /** Name of the GPU, if the backend has one. */
  gpu?: string | undefined;
}

/**
 * Runs a suite on a backend of this process, or of this page.
 *
 * @throws Error if the GPU refused anything.
 */
export async function runSuite(suite: string, options: SuiteOptions): Promise<Measured> {
  const {threads = 1, backend} = options;
  const {useThreads, checkThreads} = threads > 1 ? await import('./threads.js') : {};
  if (threads > 1 && backend !== 'wasm') throw new Error(`the ${backend} backend has no threads`);
  await useThreads?.(threads);
  const gpu = await useBackend(backend);
  await checkThreads?.(threads);
  const rows = await (await SUITES[suite]!())({
    ...options,
    onRow: (row) => {
      checkBackend();
      options.onRow?.(row);
    },
  });
  checkBackend();
  return {rows, gpu};
}
