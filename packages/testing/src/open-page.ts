import {createRequire} from 'node:module';
import {basename, dirname, join} from 'node:path';
import {bundlePage} from './bundle.js';
import {type OpenPage, openChromium} from './chromium.js';

export {chromiumMissing, type OpenPage} from './chromium.js';

/**
 * Bundles a TypeScript entry and opens a page of headless Chromium that has run it, with
 * tfjs's wasm binaries as its files.
 */
export async function openPage(entry: string, isolated = false): Promise<OpenPage> {
  const {resolve} = createRequire(import.meta.url);
  const wasm = dirname(resolve('@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm.wasm'));
  return openChromium({
    script: await bundlePage(entry),
    file: (name) => join(wasm, basename(name)),
    isolated,
  });
}
