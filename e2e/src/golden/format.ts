import {readdirSync, readFileSync, statSync} from 'node:fs';
import {join} from 'node:path';

/** A tensor of a case, as stored. */
export interface Golden {
  shape: number[];
  data: Float32Array | Int32Array;
}

/** One case of an `index.json`; the README beside the index says what its tensors mean. */
export interface GoldenCase {
  id: string;
  system: string;
  form?: string;
  config: Record<string, unknown>;
  tolerance: {forward?: number; grad?: number; error?: number; absolute?: number};
  folder: string;
  file: string;
}

/** A configuration that the packages have no way to express. */
export class NotExpressible extends Error {}

/** Every folder with an `index.json`, in or below the given ones. */
export function findIndexes(folders: string[]): string[] {
  const found: string[] = [];
  for (const folder of folders) {
    if (!statSync(folder, {throwIfNoEntry: false})?.isDirectory())
      throw new Error(`${folder} is not a folder`);
    const entries = readdirSync(folder, {withFileTypes: true}).sort((a, b) => (a.name < b.name ? -1 : 1));
    if (entries.some((entry) => entry.isFile() && entry.name === 'index.json')) found.push(folder);
    found.push(
      ...findIndexes(entries.filter((entry) => entry.isDirectory()).map(({name}) => join(folder, name))),
    );
  }
  return found;
}

export function readCases(folder: string): GoldenCase[] {
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as {
    cases?: Partial<GoldenCase & {peftType: string}>[];
  };
  if (!Array.isArray(index.cases)) throw new Error(`${join(folder, 'index.json')} has no list of cases`);
  return index.cases.map((entry) => ({
    ...entry,
    id: entry.id!,
    system: entry.system ?? entry.peftType?.toLowerCase() ?? 'unnamed',
    config: entry.config ?? {},
    tolerance: entry.tolerance ?? {},
    folder,
    file: join(folder, entry.file ?? `${entry.id}.safetensors`),
  }));
}

/** The case's tensor of that name; its absence is an error of the data. */
export function tensorOf(tensors: Map<string, Golden>, name: string): Golden {
  const tensor = tensors.get(name);
  if (!tensor) throw new Error(`the case has no tensor ${name}`);
  return tensor;
}
