import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {type Files, type NewFile, readFromFolder, removeFromFolder, writeFolder} from './folder.js';
import {
  addressIn,
  askHandler,
  folderOf,
  nodeModule,
  noHandler,
  oneHandler,
  type StorageLocation,
  webFolderOf,
} from './storage-location.js';
import {decodeText, encodeText} from './text-encoding.js';

const TOPOLOGY = 'model.json';

/**
 * What our model.json starts with, so that a later save knows that it may replace it. Loaders ignore this
 * key.
 */
const SAVED_BY = '{"savedBy":"tfjs-peft",';

/**
 * Stores a whole model, in the form of the converter's files.
 *
 * @param to A folder (Node), which gets `model.json` and its weights; or what tfjs's own `save` takes.
 * @returns Paths of the files, where they went into a folder.
 * @throws ConfigError if nothing can be stored in such a place, or the folder has a model that
 * was not stored by this function.
 */
export async function storeModel(to: StorageLocation, artifacts: tf.io.ModelArtifacts): Promise<string[]> {
  const folder = folderOf(to);
  if (folder !== undefined) {
    const before = await weightsOf(folder);
    const files = await writeFolder(folder, filesOf(artifacts));
    await removeFromFolder(folder, before);
    return files;
  }
  const handler = typeof to === 'string' ? oneHandler(tf.io.getSaveHandlers(to), to, 'save') : to;
  if (typeof handler?.save !== 'function') throw noHandler(to, 'save');
  await askHandler(to, 'save', () => handler.save!(artifacts));
  return [];
}

/**
 * Reads a whole model as tfjs stores it.
 *
 * @param from A folder or the model.json in it (Node), a URL, or what tfjs's own loaders take.
 * @throws ConfigError if there is none.
 */
export async function readModel(from: StorageLocation): Promise<tf.io.ModelArtifacts> {
  const folder = folderOf(from);
  if (folder !== undefined && nodeModule('node:fs') !== undefined) return readFolder(folder);
  const handler = typeof from === 'string' ? loaderOf(from) : from;
  if (typeof handler?.load !== 'function') throw noHandler(from, 'load');
  return askHandler(from, 'load', () => handler.load!());
}

/** The handler for a URL; tfjs takes what none claims for an address on the web. */
function loaderOf(url: string): tf.io.IOHandler {
  const web = webFolderOf(url);
  const address = web === undefined ? url : addressIn(web, TOPOLOGY);
  const handlers = tf.io.getLoadHandlers(address);
  return handlers.length === 0 ? tf.io.browserHTTPRequest(address) : oneHandler(handlers, address, 'load');
}

async function readFolder(place: string): Promise<tf.io.ModelArtifacts> {
  const [, folder, name] = /^(?:(.*)[/\\])?([^/\\]*\.json)$/i.exec(place) ?? [place, place, TOPOLOGY];
  const read = (file: string): Promise<Uint8Array> => readFromFolder(folder || '.', file, () => {});
  const json = parseModel(decodeText(await read(name!)), `${folder || '.'}/${name}`);
  return tf.io.getModelArtifactsForJSON(json, async (manifest) => {
    const parts: ArrayBuffer[] = [];
    for (const path of manifest.flatMap(({paths}) => paths)) {
      if (/^$|[/\\]/.test(path))
        throw new ConfigError(`'${path}' is not the name of a file in the model's folder.`);
      parts.push((await read(path)).slice().buffer);
    }
    return [manifest.flatMap(({weights}) => weights), tf.io.CompositeArrayBuffer.join(parts)];
  });
}

/** @throws ConfigError if a text is not a model.json. */
function parseModel(text: string, place: string): tf.io.ModelJSON {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new ConfigError(`'${place}' is not JSON. Pass the folder of a model that tfjs has saved.`, {cause});
  }
  const {modelTopology, weightsManifest} = (json ?? {}) as Partial<tf.io.ModelJSON>;
  const listed = (entry: Partial<tf.io.WeightsManifestConfig[number]> | null): boolean =>
    Array.isArray(entry?.paths) &&
    entry.paths.every((path) => typeof path === 'string') &&
    Array.isArray(entry.weights);
  if (typeof modelTopology === 'object' && Array.isArray(weightsManifest) && weightsManifest.every(listed))
    return json as tf.io.ModelJSON;
  throw new ConfigError(
    `'${place}' is not the model.json of a model with weights. Pass the folder of a model that tfjs has saved.`,
  );
}

function filesOf({weightData, weightSpecs, ...rest}: tf.io.ModelArtifacts): Files {
  const bytes = new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData ?? []));
  // A new name: until model.json is replaced, in one step, the old one still names its own weights.
  const chance = Math.random().toString(36).slice(2, 10);
  const weights = `group1-shard1of1.${Date.now().toString(36)}-${chance}.bin`;
  const {getWeightStream: _, ...json} = rest;
  const text = JSON.stringify({
    ...json,
    weightsManifest: [{paths: [weights], weights: weightSpecs ?? []}],
  });
  return new Map<string, NewFile>([
    [weights, {bytes}],
    [
      TOPOLOGY,
      {
        bytes: encodeText(SAVED_BY + text.slice(1)),
        mayReplace: (head) => decodeText(head.subarray(0, SAVED_BY.length)) === SAVED_BY,
      },
    ],
  ]);
}

/**
 * The weights that an earlier save put into the folder, which are useless once another model.json is there.
 */
async function weightsOf(folder: string): Promise<string[]> {
  try {
    const text = decodeText(await readFromFolder(folder, TOPOLOGY, () => {}));
    if (!text.startsWith(SAVED_BY)) return [];
    const {weightsManifest} = JSON.parse(text) as tf.io.ModelJSON;
    const paths = weightsManifest.flatMap(({paths}) => paths);
    return paths.filter((path) => /^group1-shard1of1\.[0-9a-z]+-[0-9a-z]*\.bin$/.test(path));
  } catch {
    return [];
  }
}
