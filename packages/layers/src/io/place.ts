import type * as tf from '@tensorflow/tfjs-core';

/** Where something is stored: a folder or URL, or one of tfjs's IO handlers. */
export type Place = string | tf.io.IOHandler;

/** The folder that a text means, or undefined if it means something else. */
export function folderOf(place: Place): string | undefined {
  if (typeof place !== 'string') return undefined;
  // Like the file handler of tfjs-node, so that file://adapter is a folder here, and not on a host.
  if (place.startsWith('file://')) return place.slice('file://'.length);
  return /^[a-z][a-z0-9+.-]+:\/\//i.test(place) ? undefined : place;
}
