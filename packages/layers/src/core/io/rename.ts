import {ConfigError, describe} from '@tfjs-peft/kernels';
import {listNames} from '../messages.js';
import {
  isHead,
  type StoredFile,
  savedShared,
  sharedKey,
  type WeightValues,
  weightKey,
} from './adapter-file.js';

/** The model's name of a site, by the name that the file has; sites that are not named keep theirs. */
export type Rename =
  | Readonly<Record<string, string>>
  | ReadonlyMap<string, string>
  | ((site: string) => string);

/**
 * A file as if it had been saved from a model whose sites have other names.
 *
 * @throws ConfigError if a name is of no site of the file, is no text, or two sites get the same one.
 */
export function renameSites({file, weights}: StoredFile, rename: Rename): StoredFile {
  const places = [...file.sites, ...file.trained].map(({name}) => name);
  const newName = lookUp(rename, places);
  // A head is no site: it is called as its output is.
  const names = new Map(places.map((name) => [name, isHead(name) ? name : newName(name)]));
  const taken = new Map<string, string>();
  for (const [from, to] of names) {
    if (typeof to !== 'string' || to === '') {
      throw new ConfigError(
        `load: rename maps '${from}' to ${describe(to)}. Map it to a string that is not empty.`,
      );
    }
    const other = taken.get(to);
    if (other !== undefined) {
      throw new ConfigError(
        `load: rename maps both '${other}' and '${from}' to '${to}'. Map each to a different name.`,
      );
    }
    taken.set(to, from);
  }
  const renamed = <T extends {name: string}>(place: T): T => ({...place, name: names.get(place.name)!});
  const moved = new Map<string, WeightValues>();
  for (const place of [...file.sites, ...file.trained]) {
    for (const {name} of place.weights) {
      moved.set(weightKey(names.get(place.name)!, name), weights.get(weightKey(place.name, name))!);
    }
  }
  for (const {name} of savedShared(file)) moved.set(sharedKey(name), weights.get(sharedKey(name))!);
  return {
    weights: moved,
    file: {
      ...file,
      sites: file.sites.map(renamed),
      trained: file.trained.map(renamed),
      overrides: file.overrides.map(({site, adapter}) => ({site: names.get(site) ?? site, adapter})),
    },
  };
}

function lookUp(rename: Rename, places: readonly string[]): (name: string) => string {
  if (typeof rename === 'function') return rename;
  if (typeof rename !== 'object' || rename === null || Array.isArray(rename)) {
    throw new ConfigError(
      "load: rename must be an object, a Map, or a function from the file's name of a site to the model's.",
    );
  }
  const entries = new Map(rename instanceof Map ? rename : Object.entries(rename));
  const unknown = [...entries.keys()].filter((name) => !places.includes(name));
  if (unknown.length > 0) {
    throw new ConfigError(
      `load: rename names ${listNames(unknown)}, but the file has the sites ${listNames(places)}. Correct ` +
        'the names.',
    );
  }
  return (name) => entries.get(name) ?? name;
}
