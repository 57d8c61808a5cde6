// Builds with each of the bundlers that our users have, in a process of its own since some of them are ESM
// alone. node bundlers.mjs modules <folder>: each of <folder>/entries/*.mjs by every bundler into
// <folder>/built/<bundler>/*.cjs, for Node node bundlers.mjs page <folder> <bundler>: the page whose program
// is <folder>/main.js, for production, into <folder>/<bundler>
import {cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {basename, join} from 'node:path';
import {promisify} from 'node:util';
import {nodeResolve} from '@rollup/plugin-node-resolve';
import esbuild from 'esbuild';
import {rollup} from 'rollup';
import {build as vite} from 'vite';
import webpack from 'webpack';

/** tfjs stays outside, so that all builds register with one copy of it. */
const TFJS = /^@tensorflow\//;

async function runWebpack(config) {
  const stats = await promisify(webpack)({mode: 'production', devtool: false, performance: false, ...config});
  if (stats.hasErrors()) throw new Error(stats.toString({all: false, errors: true}));
}

const modules = {
  esbuild: (entry, file) =>
    esbuild.build({
      entryPoints: [entry],
      outfile: file,
      bundle: true,
      format: 'cjs',
      external: ['@tensorflow/*'],
      logLevel: 'error',
    }),
  rollup: async (entry, file) => {
    const bundle = await rollup({input: entry, external: TFJS, plugins: [nodeResolve()], logLevel: 'silent'});
    await bundle.write({file, format: 'cjs', inlineDynamicImports: true});
  },
  vite: (entry, file, root) =>
    vite({
      root,
      configFile: false,
      logLevel: 'error',
      build: {
        outDir: join(file, '..'),
        emptyOutDir: false,
        minify: false,
        lib: {entry, formats: ['cjs'], fileName: () => basename(file)},
        rollupOptions: {external: TFJS},
      },
    }),
  webpack: (entry, file, context) =>
    runWebpack({
      context,
      entry,
      target: 'node',
      output: {path: join(file, '..'), filename: basename(file), library: {type: 'commonjs2'}},
      externals: ({request}, done) => (TFJS.test(request) ? done(null, `commonjs ${request}`) : done()),
      optimization: {minimize: false},
    }),
};

async function buildModules(folder) {
  const entries = readdirSync(join(folder, 'entries'));
  for (const [bundler, build] of Object.entries(modules)) {
    const to = join(folder, 'built', bundler);
    mkdirSync(to, {recursive: true});
    for (const entry of entries)
      await build(join(folder, 'entries', entry), join(to, `${basename(entry, '.mjs')}.cjs`), folder);
  }
}

const pages = {
  vite: (folder, out) =>
    vite({root: folder, base: './', configFile: false, logLevel: 'error', build: {outDir: out}}),
  webpack: async (folder, out) => {
    await runWebpack({context: folder, entry: './main.js', output: {path: out, filename: 'page.js'}});
    cpSync(join(folder, 'public'), out, {recursive: true});
    const html = readFileSync(join(folder, 'index.html'), 'utf8');
    writeFileSync(join(out, 'index.html'), html.replace('./main.js', './page.js'));
  },
};

const [what, folder, bundler] = process.argv.slice(2);
if (what === 'modules') await buildModules(folder);
else await pages[bundler](folder, join(folder, bundler));
