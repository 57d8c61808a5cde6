import {mkdirSync} from 'node:fs';
import {basename, extname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {build, type Plugin} from 'esbuild';

const here = fileURLToPath(import.meta.url);
const root = join(here, '../../../..');
const cache = join(root, 'node_modules/.cache/tfjs-peft-pages');

/** A module that also runs in Node imports what only Node has; nothing of that is called in a page. */
const withoutNode: Plugin = {
  name: 'without-node',
  setup(build) {
    const names =
      /^(node:.*|fs|path|util|worker_threads|crypto|os|perf_hooks|module|webgpu|assemblyscript\/asc)$/;
    build.onResolve({filter: names}, ({path}) => ({path, namespace: 'without-node'}));
    build.onLoad({filter: /.*/, namespace: 'without-node'}, () => ({contents: 'module.exports = {};'}));
  },
};

/**
 * Bundles a module for a page: from the built packages if it is a built file itself, else from all sources.
 *
 * @param entry path of the module, whose extension is that of this one (`.js` as built, `.ts` as a source).
 * @returns path of the script, the same for the same entry.
 */
export async function bundlePage(entry: string): Promise<string> {
  mkdirSync(cache, {recursive: true});
  const sources = extname(entry) === '.ts';
  const kind = basename(join(entry, '..'));
  const outfile = join(cache, `${kind}-${basename(entry, extname(entry))}${sources ? '-sources' : ''}.js`);
  await build({
    entryPoints: [entry],
    bundle: true,
    outfile,
    platform: 'browser',
    format: 'iife',
    // One copy of tfjs-core, for the packages and for the backends.
    mainFields: ['module', 'main'],
    // The lists of files with side effects name built files, not sources.
    ignoreAnnotations: true,
    define: {global: 'globalThis', 'import.meta.url': '""'},
    plugins: [withoutNode],
    logLevel: 'error',
    ...(sources ? {tsconfig: join(root, 'tsconfig.json')} : {}),
  });
  return outfile;
}
