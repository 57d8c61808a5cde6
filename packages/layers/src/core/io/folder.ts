import {ConfigError} from '@tfjs-peft/kernels';
import {LIMITS} from '@tfjs-peft/routers';
import {nodeModule} from './storage-location.js';
import {removeLeftovers, temporaryName} from './temporary-files.js';

type Fs = typeof import('node:fs/promises');
type Path = typeof import('node:path');

/** A file to write into a folder that may be its user's own. */
export interface NewFile {
  bytes: Uint8Array;
  /**
   * Whether it may take the place of a file of its name that is there already: if save wrote that one. Gets
   * the first bytes of it; throws if they are nothing that it knows. Default: always.
   */
  mayReplace?: (existing: Uint8Array) => boolean | Promise<boolean>;
  /** Leave the file out if it may not, where that is no reason to give up. Default false. */
  optional?: boolean;
}

/** Files of a folder by their names, in the order in which they appear there. */
export type Files = ReadonlyMap<string, NewFile>;

/** As much of a file as tells what it is: a header of safetensors, at most. */
const HEAD_BYTES = LIMITS.json + 8;

/**
 * Writes files into a folder, which is made if it is not there. Each is written beside its place
 * first and then renamed, so that a reader, or a crash, never meets half a file; what a writer that
 * was killed left behind is removed.
 *
 * @returns Paths of the files that were written.
 * @throws ConfigError outside of Node, if the folder cannot be written to, or has a file of
 * such a name that is somebody else's.
 */
export async function writeFolder(folder: string, files: Files): Promise<string[]> {
  const fs = node<Fs>('node:fs/promises', folder);
  const path = node<Path>('node:path', folder);
  const writing: {place: string; temporary: string; bytes: Uint8Array}[] = [];
  for (const [name, file] of files) {
    const place = path.join(folder, name);
    if (await isTaken(place, file)) {
      if (file.optional) continue;
      throw new ConfigError(
        `Cannot write to folder '${folder}': its ${name} was not written by tfjs-peft and would be lost. ` +
          'Use another folder, or ' +
          'move that file away.',
      );
    }
    writing.push({place, temporary: path.join(folder, temporaryName(name)), bytes: file.bytes});
  }
  try {
    await fs.mkdir(folder, {recursive: true});
    for (const {temporary, bytes} of writing) {
      const file = await fs.open(temporary, 'w');
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
    }
    for (const {place, temporary} of writing) await fs.rename(temporary, place);
  } catch (cause) {
    await Promise.allSettled(writing.map(({temporary}) => fs.rm(temporary, {force: true})));
    throw new ConfigError(
      `Cannot write to folder '${folder}' (${(cause as Error).message}). Use another one.`,
      {cause},
    );
  }
  await removeLeftovers(folder);
  return writing.map(({place}) => place);
}

/** Whether there is a file that the new one may not replace, or that does not let itself be read. */
async function isTaken(place: string, {mayReplace = () => true}: NewFile): Promise<boolean> {
  let head: Uint8Array;
  try {
    ({head} = await readHead(place));
  } catch (error) {
    // A folder in the place of a file is left to the writer to fail on.
    return !['ENOENT', 'ENOTDIR', 'EISDIR'].includes((error as {code?: string}).code ?? '');
  }
  try {
    return !(await mayReplace(head));
  } catch {
    return true;
  }
}

/** The first bytes of a file, and how many it has. */
async function readHead(place: string): Promise<{head: Uint8Array; size: number}> {
  const file = await node<Fs>('node:fs/promises', place).open(place, 'r');
  try {
    const {size} = await file.stat();
    const head = new Uint8Array(Math.min(size, HEAD_BYTES));
    const {bytesRead} = await file.read(head, 0, head.length, 0);
    return {head: head.subarray(0, bytesRead), size};
  } finally {
    await file.close();
  }
}

/**
 * Reads a file of a folder.
 *
 * @param check Gets the first bytes and the size of a large file before the rest is read,
 * to throw if that is not worth it.
 * @throws ConfigError outside of Node, or if the file is not there.
 */
export async function readFromFolder(
  folder: string,
  name: string,
  check: (head: Uint8Array, size: number) => void,
): Promise<Uint8Array> {
  const fs = node<Fs>('node:fs/promises', folder);
  const place = placeIn(folder, name);
  const read = async <T>(reading: Promise<T>): Promise<T> => {
    try {
      return await reading;
    } catch (cause) {
      throw new ConfigError(
        `Cannot read '${place}' (${(cause as Error).message}). Pass the folder that save wrote.`,
        {cause},
      );
    }
  };
  const {head, size} = await read(readHead(place));
  if (head.length === size) return head;
  check(head, size);
  return read(fs.readFile(place));
}

/** Removes files that are of no use any more; those that cannot be removed do no harm. */
export async function removeFromFolder(folder: string, names: readonly string[]): Promise<void> {
  const fs = node<Fs>('node:fs/promises', folder);
  await Promise.allSettled(names.map((name) => fs.rm(placeIn(folder, name), {force: true})));
}

/** Path of a file in a folder. */
export function placeIn(folder: string, name: string): string {
  return node<Path>('node:path', folder).join(folder, name);
}

function node<T>(module: string, folder: string): T {
  const found = nodeModule<T>(module);
  if (found === undefined) {
    throw new ConfigError(
      `'${folder}' is a folder, which only Node can read and write. In a browser, use an https, indexeddb ` +
        'or downloads URL, or an IOHandler.',
    );
  }
  return found;
}
