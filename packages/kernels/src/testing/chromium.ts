import {createRequire} from 'node:module';
import {basename, dirname, join} from 'node:path';
import {bundlePage} from '../../../../e2e/src/chromium/bundle.js';
import {type OpenPage, openChromium} from '../../../../e2e/src/chromium/open.js';

export {chromiumMissing, type OpenPage} from '../../../../e2e/src/chromium/open.js';

/** Bundles a TypeScript entry and opens a page of headless Chromium that has run it, with tfjs's wasm binaries as its files. */
export async function openPage(entry: string, isolated = false): Promise<OpenPage> {
  const wasm = dirname(
    createRequire(join(process.cwd(), 'package.json')).resolve(
      '@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm.wasm',
    ),
  );
  return openChromium({
    script: await bundlePage(entry),
    file: (name) => join(wasm, basename(name)),
    isolated,
  });
}
