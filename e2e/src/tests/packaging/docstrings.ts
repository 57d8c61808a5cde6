import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {blocksOf, type Program} from './blocks.js';

/** Sources whose docstrings are public: not tests, and not the folders of their helpers. */
export function sourcesOf(root: string): string[] {
  return ['kernels', 'routers', 'quant', 'layers'].flatMap((name) => {
    const folder = `packages/${name}/src`;
    const paths = readdirSync(join(root, folder), {recursive: true, encoding: 'utf8'});
    const shipped = paths.filter(
      (path) => /\.ts$/.test(path) && !/\.(test|generated)\.ts$|testing\//.test(path),
    );
    return shipped.map((path) => `${folder}/${path}`);
  });
}

/**
 * The programs in the `@example` tags of the sources. Each block is a program of its own; a block marked
 * `ts compiled: why` is not run.
 *
 * @throws Error if an `@example` has no block of TypeScript.
 */
export function examplesOf(root: string): Program[] {
  return sourcesOf(root).flatMap((path) => {
    const text = readFileSync(join(root, path), 'utf8');
    return [...text.matchAll(/\/\*\*(?:(?!\*\/)[\s\S])*?@example([\s\S]*?)\*\//g)].map(
      ({1: tail, index}): Program => {
        const name = `${path}:${text.slice(0, index).split('\n').length}`;
        const [block] = blocksOf(tail!.replaceAll(/^ *\* ?/gm, ''));
        if (block?.language !== 'ts') throw new Error(`${name}: @example has no block of ts.`);
        return {
          name,
          code: `${block.code}\nexport {};\n`,
          onlyCompiled: /^compiled: (.+)/.exec(block.note)?.[1],
        };
      },
    );
  });
}
