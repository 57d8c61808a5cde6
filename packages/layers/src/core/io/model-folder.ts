import * as tf from '@tensorflow/tfjs-core';
import {type Files, type NewFile, readFromFolder, removeFromFolder, writeFolder} from './folder.js';
import {askHandler, folderOf, noHandler, oneHandler, type StorageLocation} from './storage-location.js';
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
