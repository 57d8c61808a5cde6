import {existsSync} from 'node:fs';
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';

/**
 * Folder of an installed npm package, found the way Node finds modules, without running or resolving the
 * package's own entry point (data packages have none, or hide their data behind an exports map).
 *
 * @throws Error that names the package when it is not installed.
 */
export function packageFolder(name: string): string {
  const require = createRequire(import.meta.url);
  for (const folder of require.resolve.paths(name) ?? []) {
    const candidate = join(folder, name);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
  }
  throw new Error(`the data package "${name}" is not installed: run npm install in the repository root`);
}

/** Folder, with a closing slash, where the tfjs wasm backend's .wasm files lie. */
export function wasmBackendFolder(): string {
  const require = createRequire(import.meta.url);
  return dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + '/';
}
