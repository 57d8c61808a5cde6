// The API pages of all entry points, from the comments in the sources, into out/api: npm run docs. TypeDoc
// and the TypeScript that it supports live in a folder of their own, installed there when it is first needed,
// so that npm install here stays as it is.
import {execFileSync, spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {packages, root} from './packages.mjs';

const home = join(root, 'scripts/typedoc');
if (!existsSync(join(home, 'node_modules/typedoc')))
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], {cwd: home, stdio: 'inherit'});
const sources = Object.entries(packages).flatMap(([name, {entries}]) =>
  Object.keys(entries).map((entry) => `packages/${name}/src/${entry}.ts`),
);
const typedoc = join(home, 'node_modules/typedoc/bin/typedoc');
const options = [
  '--options',
  join(home, 'typedoc.mjs'),
  ...sources.flatMap((entry) => ['--entryPoints', entry]),
];
process.exitCode =
  spawnSync(process.execPath, [typedoc, ...options], {cwd: root, stdio: 'inherit'}).status ?? 1;
