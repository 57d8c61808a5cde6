import {mkdirSync} from 'node:fs';
import {extname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {build} from 'esbuild';

export const BACKENDS = ['cpu', 'wasm', 'webgl', 'webgpu'] as const;
export type Backend = (typeof BACKENDS)[number];

/** With stock tfjs alone, or with everything of ours registered. */
export type Side = 'stock' | 'ours';

const OURS = [
  '@tfjs-peft/kernels/auto',
  '@tfjs-peft/kernels/wasm-training',
  '@tfjs-peft/kernels/gradients',
  '@tfjs-peft/layers/graph',
  '@tfjs-peft/layers/repair',
];

const CORE = '@tensorflow/tfjs-core/dist';

const here = fileURLToPath(import.meta.url);
const folder = join(here, '..');
const extension = extname(here);
const root = join(folder, '../../../..');

/** The modules of one run in order: each sets up something that the next ones ask for on import. */
function modules(backend: Backend, side: Side): string[] {
  const specs = (name: string): string => `./specs/${name}${extension}`;
  const inNode = backend !== 'webgl';
  return [
    specs('jasmine'),
    ...(backend === 'webgpu' ? [specs('dawn')] : []),
    `${CORE}/register_all_gradients.js`,
    `${CORE}/public/chained_ops/register_all_chained_ops.js`,
    '@tensorflow/tfjs-backend-cpu',
    `@tensorflow/tfjs-backend-${backend}`,
    ...(backend === 'wasm' ? [specs('wasm-paths')] : []),
    specs('environment'),
    ...(side === 'ours' ? OURS : []),
    `${CORE}/tests.js`,
    specs('run'),
    ...(inNode ? [specs('node')] : []),
  ];
}

/**
 * Bundles tfjs-core's own specs for one backend, from the built files if this is one, else from all sources.
 *
 * @returns path of the script, inside the root's node_modules, from where it finds what is not bundled.
 */
export async function bundleSpecs(backend: Backend, side: Side): Promise<string> {
  const outdir = join(root, 'node_modules/.cache/tfjs-peft-tfjs-suite');
  mkdirSync(outdir, {recursive: true});
  const outfile = join(outdir, `${backend}-${side}${extension === '.ts' ? '-sources' : ''}.cjs`);
  const inNode = backend !== 'webgl';
  await build({
    stdin: {
      contents: modules(backend, side)
        .map((name) => `import '${name}';`)
        .join('\n'),
      resolveDir: folder,
    },
    bundle: true,
    outfile,
    platform: inNode ? 'node' : 'browser',
    format: inNode ? 'cjs' : 'iife',
    // One copy of tfjs-core, for the specs and for the backends.
    mainFields: ['module', 'main'],
    // The lists of files with side effects leave the specs out, and name built files, not sources.
    ignoreAnnotations: true,
    define: {BACKEND: JSON.stringify(backend), ...(inNode ? {} : {global: 'globalThis'})},
    external: inNode ? [] : ['fs', 'path', 'util', 'worker_threads', 'crypto', 'os', 'perf_hooks'],
    logLevel: 'error',
    ...(extension === '.ts' ? {tsconfig: join(root, 'tsconfig.json')} : {}),
  });
  return outfile;
}
