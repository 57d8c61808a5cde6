import {execFileSync} from 'node:child_process';
import {existsSync, mkdirSync, readFileSync, symlinkSync} from 'node:fs';
import {dirname, join} from 'node:path';

const ENTRY_POINTS = join(__dirname, '../../../../scripts/entry-points.json');

/** The packages that are published: kernels, routers, ... */
export const PACKAGES = Object.keys(JSON.parse(readFileSync(ENTRY_POINTS, 'utf8')) as object);

export interface Manifest {
  exports: Record<string, unknown>;
  sideEffects: boolean | string[];
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, {optional?: boolean}>;
}

export function manifestOf(root: string, name: string): Manifest {
  return JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'));
}

/** Entry points of a package as a user writes them: '@tfjs-peft/kernels', '@tfjs-peft/kernels/wasm', ... */
export function entriesOf(root: string, name: string): string[] {
  return Object.keys(manifestOf(root, name).exports)
    .filter((entry) => entry !== './package.json')
    .map((entry) => `@tfjs-peft/${name}${entry.slice(1)}`);
}

/** Packs a built package into `folder` and returns the tarball's path. */
export function pack(root: string, name: string, folder: string): string {
  if (!existsSync(join(root, 'packages', name, 'dist')))
    throw new Error(`packages/${name} has no dist: npm run build`);
  const output = execFileSync('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: join(root, 'packages', name),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [{filename}] = JSON.parse(output) as [{filename: string}];
  return join(folder, filename);
}

function unpack(tarball: string, folder: string): void {
  mkdirSync(folder, {recursive: true});
  execFileSync('tar', ['-xzf', tarball, '-C', folder, '--strip-components=1']);
}

function linkPeers(root: string, folder: string, peers: string[]): void {
  for (const peer of peers) {
    const to = join(folder, 'node_modules', peer);
    if (existsSync(to)) continue;
    mkdirSync(dirname(to), {recursive: true});
    symlinkSync(join(root, 'node_modules', peer), to);
  }
}

/**
 * Installs packed packages into an empty folder, each with the packages of ours that it depends on and its
 * required peers, and nothing else: what is missing from a manifest cannot be found from there. Peers come
 * from this checkout, so no network is needed.
 */
export function install(
  root: string,
  tarballs: Record<string, string>,
  names: readonly string[],
  folder: string,
  extraPeers: string[] = [],
): void {
  for (const name of names) {
    const manifest = manifestOf(root, name);
    const to = join(folder, 'node_modules/@tfjs-peft', name);
    if (!existsSync(to)) unpack(tarballs[name]!, to);
    const optional = manifest.peerDependenciesMeta ?? {};
    const required = Object.keys(manifest.peerDependencies ?? {}).filter((peer) => !optional[peer]?.optional);
    linkPeers(root, folder, required);
    const dependencies = Object.keys(manifest.dependencies ?? {});
    const ours = dependencies.filter((dependency) => dependency.startsWith('@tfjs-peft/'));
    linkPeers(
      root,
      folder,
      dependencies.filter((dependency) => !ours.includes(dependency)),
    );
    install(
      root,
      tarballs,
      ours.map((dependency) => dependency.slice('@tfjs-peft/'.length)),
      folder,
    );
  }
  linkPeers(root, folder, extraPeers);
}
