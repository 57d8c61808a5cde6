import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {build} from 'esbuild';

/**
 * Bundles scripts of a command straight from all sources, so that its tests run
 * what is in the tree, built or not.
 *
 * @param root the repository's root; the bundle lies inside its e2e/node_modules,
 * from where it finds all packages.
 * @param command the folder of the scripts in e2e/src.
 * @param test whose bundle it is: tests run side by side.
 * @returns the folder with `<script>.js` of each.
 */
export async function bundleScripts(
  root: string,
  command: string,
  scripts: string[],
  test: string,
): Promise<string> {
  const outdir = join(root, 'e2e/node_modules/.cache/tfjs-peft', test);
  mkdirSync(outdir, {recursive: true});
  writeFileSync(join(outdir, 'package.json'), '{"type": "module"}\n');
  await build({
    entryPoints: scripts.map((script) => join(root, 'e2e/src', command, `${script}.ts`)),
    bundle: true,
    // What a command loads only after it listens to signals stays apart.
    splitting: true,
    // The packages' lists of files with side effects name built files, not sources.
    ignoreAnnotations: true,
    platform: 'node',
    format: 'esm',
    outdir,
    logLevel: 'warning',
    plugins: [
      {
        name: 'sources',
        setup({onResolve}) {
          onResolve({filter: /^@tfjs-peft\//}, ({path}) => {
            const [, name, entry = 'index'] = path.split('/');
            return {path: join(root, 'packages', name!, 'src', `${entry}.ts`)};
          });
          onResolve({filter: /^(@tensorflow\/|(picocolors|pngjs|jpeg-js)$)/}, ({path}) => ({
            path,
            external: true,
          }));
        },
      },
    ],
  });
  return outdir;
}
