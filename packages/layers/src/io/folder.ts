import {ConfigError} from '@tfjs-peft/kernels';

type Fs = typeof import('node:fs/promises');
type Path = typeof import('node:path');

/** Files of a folder by their names. */
export type Files = ReadonlyMap<string, Uint8Array>;

/**
 * Writes files into a folder, which is made if it is not there. Each is written beside its place first and then renamed, so that a
 * reader, or a crash, never meets half a file.
 *
 * @throws ConfigError outside of Node, or if the folder cannot be written to.
 */
export async function writeFolder(folder: string, files: Files): Promise<string[]> {
  const fs = node<Fs>('node:fs/promises', folder);
  const path = node<Path>('node:path', folder);
  const suffix = `.${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}.tmp`;
  const places = [...files.keys()].map((name) => path.join(folder, name));
  try {
    await fs.mkdir(folder, {recursive: true});
    for (const [i, bytes] of [...files.values()].entries()) {
      const file = await fs.open(places[i]! + suffix, 'w');
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
    }
    for (const place of places) await fs.rename(place + suffix, place);
  } catch (cause) {
    await Promise.allSettled(places.map((place) => fs.rm(place + suffix, {force: true})));
    throw new ConfigError(
      `Cannot write to folder '${folder}' (${(cause as Error).message}). Give another one.`,
      {cause},
    );
  }
  return places;
}

/** @throws ConfigError outside of Node, or if the file is not there. */
export async function readFromFolder(folder: string, name: string): Promise<Uint8Array> {
  const fs = node<Fs>('node:fs/promises', folder);
  const place = node<Path>('node:path', folder).join(folder, name);
  try {
    return await fs.readFile(place);
  } catch (cause) {
    throw new ConfigError(
      `Cannot read '${place}' (${(cause as Error).message}). Give the folder that save wrote.`,
      {
        cause,
      },
    );
  }
}

/** A module of Node. Asked for at run time and not imported, so that bundles for browsers do not look for it. */
function node<T>(module: string, folder: string): T {
  const process = globalThis.process as {getBuiltinModule?(id: string): unknown} | undefined;
  const found = process?.getBuiltinModule?.(module);
  if (found === undefined) {
    throw new ConfigError(
      `'${folder}' is a folder, and those are for Node alone. In a browser use an https, indexeddb or downloads URL, or an IOHandler.`,
    );
  }
  return found as T;
}
