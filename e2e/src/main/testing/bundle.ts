import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {build} from 'esbuild';

/**
 * Bundles scripts of the main job straight from all sources, so that its tests run what is in the tree, built or not.
 *
 * @param root the repository's root; the bundle lies inside its node_modules, from where it finds all packages.
 * @returns the folder with `<script>.js` of each.
 */
export async function bundleMain(root: string, scripts: string[]): Promise<string> {
  const outdir = join(root, 'node_modules/.cache/tfjs-peft-main-test');
  mkdirSync(outdir, {recursive: true});
  writeFileSync(join(outdir, 'package.json'), '{"type": "module"}\n');
  await build({
    entryPoints: scripts.map((script) => join(root, 'e2e/src/main', `${script}.ts`)),
    bundle: true,
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
          onResolve({filter: /^(@tensorflow\/|picocolors$)/}, ({path}) => ({path, external: true}));
        },
      },
    ],
  });
  return outdir;
}
