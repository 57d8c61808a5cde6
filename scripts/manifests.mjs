// Writes what follows from entry-points.json: the exports maps and the lists of files with side effects in
// the packages' manifests, the packages of lerna.json and the paths of tsconfig.json. With --check nothing is
// written, and the exit code is 1 if a file would change.
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {packages, root, specifierOf} from './packages.mjs';

const read = (path) => readFileSync(join(root, path), 'utf8');

const built = (entry, format) => ({
  types: `./dist/${format}/${entry}.d.ts`,
  default: `./dist/${format}/${entry}.js`,
});

function exportsOf(entries) {
  const map = {};
  for (const entry of Object.keys(entries)) {
    map[entry === 'index' ? '.' : `./${entry}`] = {import: built(entry, 'esm'), require: built(entry, 'cjs')};
  }
  return {...map, './package.json': './package.json'};
}

function manifest(name, {entries, effects}) {
  const path = `packages/${name}/package.json`;
  const json = JSON.parse(read(path));
  json.exports = exportsOf(entries);
  json.sideEffects = effects.length > 0 && effects.map((module) => `./dist/*/${module}.js`);
  return [path, `${JSON.stringify(json, null, 2)}\n`];
}

function lerna() {
  const list = Object.keys(packages).map((name) => `"packages/${name}"`);
  return ['lerna.json', read('lerna.json').replace(/("packages": )\[[^\]]*\]/, `$1[${list.join(', ')}]`)];
}

function tsconfig() {
  const lines = Object.entries(packages).flatMap(([name, {entries}]) =>
    Object.keys(entries).map((entry) => {
      return `      "${specifierOf(name, entry)}": ["./packages/${name}/src/${entry}.ts"],\n`;
    }),
  );
  lines.push('      "@tfjs-peft/testing/*": ["./packages/testing/src/*.ts"]\n');
  const text = read('tsconfig.json').replace(/("paths": \{\n)[^}]*( {4}\})/, `$1${lines.join('')}$2`);
  return ['tsconfig.json', text];
}

const files = [...Object.entries(packages).map((entry) => manifest(...entry)), lerna(), tsconfig()];
const stale = files.filter(([path, text]) => read(path) !== text);
if (process.argv.includes('--check')) {
  for (const [path] of stale)
    console.error(`${path} does not fit scripts/entry-points.json: run npm run manifests`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else for (const [path, text] of stale) writeFileSync(join(root, path), text);
