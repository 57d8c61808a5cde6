import {readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {hostname} from 'node:os';
import {join} from 'node:path';
import {InputError, reasonOf} from '../../data/input-error.js';
import {makeFolders} from './output.js';

const lockOf = (folder: string) => join(folder, '.lock');
/** A lock without an owner is one that is just being written, unless it is older. */
const FRESH_MS = 5000;

interface Owner {
  pid: number;
  host: string;
  /** Tells a process from a later one of the same number, where the system says it. */
  started?: string;
}

/**
 * When a process started, in the system's own unit; undefined where the system does
 * not say, or the process is gone.
 */
function startOf(pid: number): string | undefined {
  try {
    // The name, in parentheses, may hold anything; the 20th field behind it is the start.
    return readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, '').trim().split(/\s+/)[19];
  } catch {
    return undefined;
  }
}

function isAlive({pid, started}: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return started === undefined || startOf(pid) === undefined || startOf(pid) === started;
}

function ownerOf(lock: string): Owner | undefined {
  try {
    const owner = JSON.parse(readFileSync(lock, 'utf8')) as Owner;
    return Number.isInteger(owner?.pid) && owner.pid > 0 && typeof owner.host === 'string'
      ? owner
      : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the owner of a lock has gone, or never was. */
function isStale(lock: string): boolean {
  const owner = ownerOf(lock);
  if (owner !== undefined) return owner.host === hostname() && !isAlive(owner);
  const stats = statSync(lock, {throwIfNoEntry: false});
  return stats === undefined || Date.now() - stats.mtimeMs > FRESH_MS;
}

/**
 * Makes the folder this process's own until it ends: two runs would write over each other. The lock of a
 * process that has died is taken over.
 *
 * @throws InputError if another process has it, or if nothing can be written into it.
 */
export function lockFolder(option: string, folder: string): void {
  const lock = lockOf(folder);
  let made: string | undefined;
  try {
    made = makeFolders(folder);
    const own: Owner = {pid: process.pid, host: hostname(), started: startOf(process.pid)};
    for (let tries = 0; ; tries++) {
      try {
        writeFileSync(lock, JSON.stringify(own), {flag: 'wx'});
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
          // On a full disk the file is there, empty.
          rmSync(lock, {force: true});
          throw error;
        }
        if (tries === 3) throw error;
      }
      if (!isStale(lock)) {
        const {pid = '?', host = '?'} = ownerOf(lock) ?? {};
        throw new InputError(
          `${option}: another run is at work in ${folder} (process ${pid} on ${host}); wait for its end or name another folder, and if it has died remove ${lock}`,
        );
      }
      removeStale(lock);
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(
      `${option}: nothing can be written into ${folder} (${reasonOf(error)}); name another folder`,
    );
  }
  process.on('exit', () => {
    rmSync(lock, {force: true});
    // A run that was refused leaves no folder behind.
    if (made !== undefined) {
      try {
        rmdirSync(folder);
      } catch {}
    }
  });
}

/** Moves a stale lock aside first: of two processes that do so at once, only one finds it. */
function removeStale(lock: string): void {
  const aside = `${lock}.${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch {
    return;
  }
  // Between the look and the move it may have become somebody's.
  if (!isStale(aside)) {
    try {
      writeFileSync(lock, readFileSync(aside), {flag: 'wx'});
    } catch {}
  }
  rmSync(aside, {force: true});
}
