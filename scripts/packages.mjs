import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

/** The repository's root, without a closing slash. */
export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '');

/**
 * The packages that are published, in the order of their dependencies, with their entry points (each with the
 * size that it may have) and their modules with side effects: {kernels: {entries: {index: '14 kB', ...},
 * effects: ['auto', ...]}, ...}.
 */
export const packages = JSON.parse(readFileSync(new URL('entry-points.json', import.meta.url), 'utf8'));

/** An entry point as users write it: '@tfjs-peft/kernels/wasm'. */
export const specifierOf = (name, entry) => `@tfjs-peft/${name}${entry === 'index' ? '' : `/${entry}`}`;
