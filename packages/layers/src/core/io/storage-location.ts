import type * as tf from '@tensorflow/tfjs-core';
import {ConfigError, PeftError} from '@tfjs-peft/kernels';
import {reasonOf} from '../messages.js';

/** Where something is stored: a folder or URL, or one of tfjs's IO handlers. */
export type StorageLocation = string | tf.io.IOHandler;

/**
 * A module of Node, or undefined outside of it. Asked for at run time and not imported, so that bundles for
 * browsers do not look for it.
 */
export function nodeModule<T>(module: string): T | undefined {
  const process = globalThis.process as {getBuiltinModule?(id: string): unknown} | undefined;
  return process?.getBuiltinModule?.(module) as T | undefined;
}

/** The folder that a text means, or undefined if it means something else. */
export function folderOf(location: StorageLocation): string | undefined {
  if (typeof location !== 'string') return undefined;
  if (/^file:\/\//i.test(location)) return pathOf(location.slice('file://'.length));
  return /^[a-z][a-z0-9+.-]+:\/\//i.test(location) ? undefined : location;
}

/**
 * The path in a file URL: decoded, and without the slash before a drive's letter. As in the file handler of
 * tfjs-node, file://adapter is a folder here and not on a host.
 */
function pathOf(path: string): string {
  let decoded = path.replace(/^localhost(?=\/)/i, '');
  try {
    decoded = decodeURIComponent(decoded);
  } catch {
    // A % that begins no code stands for itself.
  }
  return decoded.replace(/^\/(?=[a-z]:([/\\]|$))/i, '');
}

/**
 * The folder on the web that a text means, or undefined. A path without a scheme is one where there are no
 * folders: relative to the page. What ends in .json is a model's that tfjs saved there.
 */
export function webFolderOf(location: StorageLocation): string | undefined {
  if (typeof location !== 'string') return undefined;
  const web = /^https?:\/\//i.test(location);
  const relative = folderOf(location) === location && nodeModule('node:fs') === undefined;
  return (web || relative) && !/\.json$/i.test(splitUrl(location).path) ? location : undefined;
}

/**
 * The address of a file in a folder on the web: the query stays behind the path; a
 * fragment is of no use to a server.
 */
export function addressIn(folder: string, name: string): string {
  const {path, query} = splitUrl(folder);
  return `${path.replace(/\/+$/, '')}/${name}${query}`;
}

function splitUrl(url: string): {path: string; query: string} {
  const [, path, query] = /^([^?#]*)(\?[^#]*)?/.exec(url)!;
  return {path: path!, query: query ?? ''};
}

/**
 * The one IO handler of tfjs for a URL.
 *
 * @throws ConfigError if there is none, or several claim it.
 */
export function oneHandler<H extends tf.io.IOHandler>(
  handlers: readonly H[],
  url: string,
  verb: 'save' | 'load',
): H {
  if (handlers.length > 1) {
    throw new ConfigError(
      `${handlers.length} IO handlers of tfjs claim '${url}'. Pass the handler to use instead.`,
    );
  }
  if (handlers.length === 0) throw noHandler(url, verb);
  return handlers[0]!;
}

export function noHandler(location: unknown, verb: 'save' | 'load'): ConfigError {
  return new ConfigError(
    `No IO handler can ${verb} ${verb === 'save' ? 'to' : 'from'} ${nameOf(location)}. Use a folder (in Node), a URL such as ` +
      `indexeddb://my-adapter, or a tf.io.IOHandler with a method ${verb}.`,
  );
}

/** A location for a message. */
export function nameOf(location: unknown): string {
  return typeof location === 'string' ? `'${location}'` : 'the given object';
}

/**
 * Lets an IO handler of somebody else do its work.
 *
 * @throws ConfigError that gives the location, whatever the handler throws.
 */
export async function askHandler<T>(
  location: unknown,
  verb: 'save' | 'load',
  ask: () => T | Promise<T>,
): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof PeftError) throw cause;
    throw new ConfigError(
      `Cannot ${verb} ${verb === 'save' ? 'to' : 'from'} ${nameOf(location)} (${reasonOf(cause)}). Check the location.`,
      {cause},
    );
  }
}
