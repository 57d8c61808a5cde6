import {lstatSync, readdirSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {InputError, reasonOf} from '../input-error.js';

/**
 * What a path leads to, through links.
 *
 * @throws InputError that names it, for a link to nothing, one of a circle, or what may not be looked at.
 */
export function kindOf(path: string): 'folder' | 'file' | 'missing' {
  try {
    const stats = statSync(path, {throwIfNoEntry: false});
    if (stats !== undefined) return stats.isDirectory() ? 'folder' : 'file';
  } catch (error) {
    throw new InputError(`${path}: cannot be looked at (${reasonOf(error)})`);
  }
  if (lstatSync(path, {throwIfNoEntry: false}) === undefined) return 'missing';
  throw new InputError(`${path}: a link to something that is not there; mend it or remove it`);
}

/**
 * The folders and files of a folder by name, save hidden ones.
 *
 * @param option the option that named the folder, and what to do, for errors.
 * @throws InputError if it is no folder, cannot be read, or has a link to nothing.
 */
export function foldersIn(
  option: string,
  directory: string,
  advice: string,
): {folders: string[]; files: string[]} {
  if (kindOf(directory) !== 'folder')
    throw new InputError(`${option}: ${directory} is not a folder; ${advice}`);
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    throw new InputError(`${option}: ${directory} cannot be read (${reasonOf(error)})`);
  }
  const shown = names.filter((name) => !name.startsWith('.')).sort();
  const isFolder = new Map(shown.map((name) => [name, kindOf(join(directory, name)) === 'folder']));
  return {
    folders: shown.filter((name) => isFolder.get(name)),
    files: shown.filter((name) => !isFolder.get(name)),
  };
}
