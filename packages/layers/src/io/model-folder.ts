import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {type Files, writeFolder} from './folder.js';
import {folderOf, type Place} from './place.js';

const WEIGHTS = 'group1-shard1of1.bin';

/**
 * Stores a whole model, in the form of the converter's files.
 *
 * @param to A folder (Node), which gets `model.json` and its weights; or what tfjs's own `save` takes.
 * @returns Paths of the files, where they went into a folder.
 * @throws ConfigError if nothing can be stored in such a place.
 */
export async function storeModel(to: Place, artifacts: tf.io.ModelArtifacts): Promise<string[]> {
  const folder = folderOf(to);
  if (folder !== undefined) return writeFolder(folder, filesOf(artifacts));
  const handlers = typeof to === 'string' ? tf.io.getSaveHandlers(to) : [to];
  const [handler] = handlers;
  if (handlers.length !== 1 || typeof handler?.save !== 'function') {
    throw new ConfigError(
      `Cannot save a model to '${String(to)}'. Give a folder (Node), a URL that tfjs knows, or an IOHandler.`,
    );
  }
  await handler.save(artifacts);
  return [];
}

function filesOf({weightData, weightSpecs, ...rest}: tf.io.ModelArtifacts): Files {
  const weightsManifest = [{paths: [WEIGHTS], weights: weightSpecs ?? []}];
  const {getWeightStream: _, ...json} = rest;
  return new Map([
    [WEIGHTS, new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData ?? []))],
    ['model.json', new TextEncoder().encode(JSON.stringify({...json, weightsManifest}))],
  ]);
}
