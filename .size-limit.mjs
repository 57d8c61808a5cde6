// Sizes of what a page loads: each entry point by itself, and the ways that the
// documents show. tfjs is not counted.
import {packages, specifierOf} from './scripts/packages.mjs';

const built = (name, entry) => `packages/${name}/dist/esm/${entry}.js`;

const COMMON = {
  gzip: true,
  ignore: ['@tensorflow/*'],
  modifyEsbuildConfig: (config) => ({...config, format: 'esm'}),
};

/** A page that imports some names of some entry points. */
const page = (name, limit, imports) => ({
  ...COMMON,
  name,
  limit,
  import: Object.fromEntries(imports.map(([from, entry, names]) => [built(from, entry), `{ ${names} }`])),
});

export default [
  ...Object.entries(packages).flatMap(([name, {entries}]) =>
    Object.entries(entries).map(([entry, limit]) => ({
      ...COMMON,
      name: specifierOf(name, entry),
      path: built(name, entry),
      limit,
    })),
  ),
  page('upgrade on wasm', '99 kB', [
    ['kernels', 'wasm', 'register'],
    ['layers', 'index', 'upgrade'],
  ]),
  page('upgrade of GraphModels on wasm', '129 kB', [
    ['kernels', 'wasm', 'register'],
    ['layers', 'graph', 'trainer, upgrade'],
  ]),
];
