import {
  accessSync,
  constants,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import {dirname} from 'node:path';
import {InputError, reasonOf} from '../../data/input-error.js';

const temporaryOf = (path: string) => `${path}.${process.pid}.tmp`;

/** The file behind links; a path that does not exist yet is itself. */
function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** Whether a path is something to write into that is no file of its own: /dev/stdout, a pipe. */
function isStream(path: string): boolean {
  const stats = statSync(path, {throwIfNoEntry: false});
  return stats !== undefined && !stats.isFile();
}

/**
 * Makes a folder and those above it. Node's own way never ends where the system
 * has no such folders, as in /proc.
 *
 * @returns the topmost folder that was made; undefined where all were there.
 */
export function makeFolders(folder: string): string | undefined {
  if (statSync(folder, {throwIfNoEntry: false})?.isDirectory()) return undefined;
  const above = dirname(folder);
  const made = above === folder ? undefined : makeFolders(above);
  mkdirSync(folder);
  return made ?? folder;
}

/**
 * Writes a file so that a reader, or a crash, sees the old one or the new one, never a part.
 *
 * @throws InputError that names the file if it cannot be written, such as on a full
 * disk; nothing is left of it then.
 */
export function writeWhole(path: string, data: string | Uint8Array): void {
  const target = resolved(path);
  const temporary = temporaryOf(target);
  try {
    if (isStream(target)) {
      writeFileSync(target, data);
      return;
    }
    makeFolders(dirname(target));
    writeFileSync(temporary, data);
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, {force: true});
    throw new InputError(`${path}: cannot be written (${reasonOf(error)})`);
  }
}

/**
 * Writes what other code writes into a folder.
 *
 * @throws InputError that names the folder if the system refuses.
 */
export async function writeInto(folder: string, write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new InputError(`${folder}: cannot be written (${reasonOf(error)})`);
  }
}

/** What `--json` writes. */
export function writeJson(path: string, value: unknown): void {
  writeWhole(path, `${JSON.stringify(value, null, 2)}\n`);
}

/**
 * Tries whether a file could be written, and leaves it as it is: what would otherwise
 * fail only after minutes of work.
 *
 * @throws InputError that names the option if not.
 */
export function checkWritable(option: string, path: string | undefined): void {
  if (path === undefined) return;
  const target = resolved(path);
  const temporary = temporaryOf(target);
  try {
    const stats = statSync(path, {throwIfNoEntry: false});
    if (stats?.isDirectory()) throw new InputError(`${option}: ${path} is a folder; name a file`);
    if (stats !== undefined) accessSync(target, constants.W_OK);
    if (isStream(target)) return;
    makeFolders(dirname(target));
    writeFileSync(temporary, ' ');
    rmSync(temporary);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${option}: ${path} cannot be written (${reasonOf(error)}); name another file`);
  }
}

/**
 * Looks whether a folder has room.
 *
 * @throws InputError that says how many bytes there are and how many it takes.
 */
export function checkSpace(option: string, folder: string, bytes: number): void {
  const {bavail, bsize} = statfsSync(folder);
  const free = bavail * bsize;
  // Some file systems do not say.
  if (free >= bytes || (free === 0 && bsize === 0)) return;
  const mega = (count: number) => `${(count / 1e6).toFixed(1)} MB`;
  throw new InputError(
    `${option}: ${mega(free)} are free in ${folder}, and the run takes ${mega(bytes)}; free some space, or name another folder`,
  );
}
