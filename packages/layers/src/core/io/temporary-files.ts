import {nodeModule} from './storage-location.js';

type Fs = typeof import('node:fs/promises');
type Os = typeof import('node:os');
type Path = typeof import('node:path');

/** A file this old that is still not in its place has no writer any more, wherever that one ran. */
const OLD_MS = 60 * 60 * 1000;

/**
 * The name of a file until it is whole. It says which machine and process write it, so that another one can
 * tell whether these still live.
 */
export function temporaryName(name: string): string {
  const chance = Math.random().toString(36).slice(2);
  return `${name}.${machine()}-${process.pid}-${chance}.tmp`;
}

/**
 * Names of files that are being written; those of earlier versions too, which say
 * a time and a chance number only.
 */
const TEMPORARY =
  /^(?:adapter_model\.safetensors|adapter_config\.json|README\.md|model\.json|group1-shard1of1\..*bin)\.([0-9a-z]+)-(?:(\d+)-)?[0-9a-z]*\.tmp$/;

/**
 * Removes what writers of our files left in a folder when they were killed. It
 * never throws: the files are no harm.
 */
export async function removeLeftovers(folder: string): Promise<void> {
  const fs = nodeModule<Fs>('node:fs/promises');
  const path = nodeModule<Path>('node:path');
  if (fs === undefined || path === undefined) return;
  for (const entry of await fs.readdir(folder).catch(() => [])) {
    const parts = TEMPORARY.exec(entry);
    if (parts === null) continue;
    const [, by, pid] = parts;
    const place = path.join(folder, entry);
    try {
      const died = pid !== undefined && by === machine() && !lives(Number(pid));
      if (died || Date.now() - (await fs.stat(place)).mtimeMs > OLD_MS) await fs.rm(place, {force: true});
    } catch {
      // Another save removed it, or it is not ours to remove.
    }
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: there is such a process, of another user.
    return (error as {code?: string}).code !== 'ESRCH';
  }
}

/** This machine, in letters that a file name can have. */
function machine(): string {
  const name = nodeModule<Os>('node:os')?.hostname() ?? '';
  let hash = 0;
  for (const letter of name) hash = (Math.imul(hash, 31) + letter.codePointAt(0)!) | 0;
  return (hash >>> 0).toString(36);
}
