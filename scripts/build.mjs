// Builds every package: wasm first, then per package tsc (ESM and types) and esbuild (CJS, file by file);
// what is not published last.
import {execFileSync} from 'node:child_process';
import {cpSync, mkdirSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {dirname, join, relative} from 'node:path';
import {build} from 'esbuild';
import {buildWasm} from './build-wasm.mjs';
import {listKernels} from './list-kernels.mjs';
import {packages, root} from './packages.mjs';

const tsc = join(root, 'node_modules/typescript/bin/tsc');

function files(directory, ending) {
  return readdirSync(directory, {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => join(entry.parentPath, entry.name));
}

async function buildPackage(name) {
  const folder = join(root, 'packages', name);
  const esm = join(folder, 'dist/esm');
  const cjs = join(folder, 'dist/cjs');
  rmSync(join(folder, 'dist'), {recursive: true, force: true});
  execFileSync(process.execPath, [tsc, '-p', folder], {stdio: 'inherit'});
  await build({
    entryPoints: files(esm, '.js'),
    outdir: cjs,
    outbase: esm,
    format: 'cjs',
    platform: 'neutral',
    target: 'es2022',
    logLevel: 'warning',
  });
  writeFileSync(join(cjs, 'package.json'), '{"type": "commonjs"}\n');
  for (const types of files(esm, '.d.ts')) {
    const to = join(cjs, relative(esm, types));
    mkdirSync(dirname(to), {recursive: true});
    cpSync(types, to);
  }
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
}

await buildWasm(root);
listKernels();
for (const name of Object.keys(packages)) await buildPackage(name);
for (const folder of ['packages/testing', 'e2e']) {
  rmSync(join(root, folder, 'dist'), {recursive: true, force: true});
  execFileSync(process.execPath, [tsc, '-p', join(root, folder)], {stdio: 'inherit'});
}
