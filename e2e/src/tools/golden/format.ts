import {existsSync, readdirSync, readFileSync, statSync} from 'node:fs';
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
  /** The case is a folder as Python's PEFT writes it. */
  peft: boolean;
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
  const path = join(folder, 'index.json');
  const {cases} = parse(path);
  if (!Array.isArray(cases)) throw new Error(`${path} has no list of cases`);
  return cases.map((entry, i) => {
    if (typeof entry?.id !== 'string') throw new Error(`${path}: case ${i + 1} has no id`);
    return {
      ...entry,
      id: entry.id,
      system: entry.system ?? entry.peftType?.toLowerCase() ?? 'unnamed',
      config: entry.config ?? {},
      tolerance: entry.tolerance ?? {},
      folder,
      file: join(folder, entry.file ?? `${entry.id}.safetensors`),
      peft: existsSync(join(folder, entry.id, 'adapter_config.json')),
    };
  });
}

type Entry = Partial<GoldenCase & {peftType: string}> | null;

function parse(path: string): {cases?: Entry[]} {
  const text = readFileSync(path, 'utf8');
  try {
    return (JSON.parse(text) ?? {}) as {cases?: Entry[]};
  } catch (error) {
    throw new Error(`${path} is no JSON: ${(error as Error).message}`);
  }
}

/** The case's tensor of that name; its absence is an error of the data. */
export function tensorOf(tensors: Map<string, Golden>, name: string): Golden {
  const tensor = tensors.get(name);
  if (!tensor) throw new Error(`the case has no tensor ${name}`);
  return tensor;
}
