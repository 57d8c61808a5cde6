// The API pages of all entry points, from the comments in the sources, into out/api: npm run docs. TypeDoc and the TypeScript that
// it supports live in a folder of their own, installed there when it is first needed, so that npm install here stays as it is.
import {execFileSync, spawnSync} from 'node:child_process';
import {existsSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

const root = join(fileURLToPath(import.meta.url), '../..');
const home = join(root, 'scripts/typedoc');
if (!existsSync(join(home, 'node_modules/typedoc')))
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], {cwd: home, stdio: 'inherit'});
const entries = ['kernels', 'routers', 'quant', 'layers'].flatMap((name) => {
  const {exports} = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'));
  const files = Object.keys(exports).filter((entry) => entry !== './package.json');
  return files.map((entry) => `packages/${name}/src/${entry === '.' ? 'index' : entry.slice(2)}.ts`);
});
const typedoc = join(home, 'node_modules/typedoc/bin/typedoc');
const options = [
  '--options',
  join(home, 'typedoc.mjs'),
  ...entries.flatMap((entry) => ['--entryPoints', entry]),
];
process.exitCode =
  spawnSync(process.execPath, [typedoc, ...options], {cwd: root, stdio: 'inherit'}).status ?? 1;
