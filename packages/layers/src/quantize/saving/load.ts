import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, WeightMismatchError} from '@tfjs-peft/kernels';
import {own} from '../../core/io/json.js';
import {readModel} from '../../core/io/model-folder.js';
import type {StorageLocation} from '../../core/io/storage-location.js';
import {joinWeights, splitWeights, weightBytes} from '../../core/io/weight-bytes.js';
import {peftOf} from '../../core/lifecycle/kinds.js';
import {mapModel} from '../../core/tfjs/model-map.js';
import {packedOf} from '../../core/tfjs/packed-variable.js';
import {buildLayersModel} from './build.js';
import {fromFile, PACKED_KEY} from './packed-weight.js';

/**
 * Loads a LayersModel that was saved with quantised weights: they stay packed, and no more than one of them
 * is ever plain while the model is built. Adapters that were saved with the model come back too.
 *
 * `model.save` of a quantised model writes its weights packed, to any of tfjs's IO handlers; call {@link
 * dequantizeModel} before if the file is to be a plain one. `tf.loadLayersModel` refuses such a file by the
 * name of a packed weight.
 *
 * @param from A folder (Node) or the `model.json` in it, a URL, or an IO handler of tfjs.
 * @returns The model, quantised as it was.
 * @throws ConfigError if there is no such file, or it is not that of a quantised LayersModel;
 * WeightMismatchError or ShapeError if its parts do not fit each other or the model.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import '@tfjs-peft/layers';
 * import {loadQuantized, quantizeModel} from '@tfjs-peft/layers/quantize';
 *
 * const model = tf.sequential({layers: [tf.layers.dense({name: 'hidden', units: 8, inputShape: [16]})]});
 * await quantizeModel(model, {format: 'int4'});
 * let saved: tf.io.ModelArtifacts;
 * await model.save(
 *   tf.io.withSaveHandler(async (artifacts) => {
 *     saved = artifacts;
 *     return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
 *   }),
 * );
 * const loaded = await loadQuantized(tf.io.fromMemory(saved!));
 * ```
 */
export async function loadQuantized(from: StorageLocation): Promise<tfl.LayersModel> {
  const artifacts = await readModel(from);
  const {[PACKED_KEY]: records, ...topology} = (artifacts.modelTopology ?? {}) as Record<string, unknown>;
  if (records === undefined) {
    throw new ConfigError(
      'loadQuantized: the model has no packed weights. Load it with tf.loadLayersModel or tf.loadGraphModel.',
    );
  }
  if (own(topology, 'config') === undefined) {
    throw new ConfigError(
      'loadQuantized: the file is not one of a LayersModel. Pass what model.save of a quantised one wrote.',
    );
  }
  const stored = splitWeights(artifacts.weightSpecs ?? [], await weightBytes(artifacts));
  const {packed, plain} = fromFile(records, stored);
  const named = new Map(packed.map((weight) => [weight.name, weight]));
  const model = await buildLayersModel({...artifacts, modelTopology: topology, ...joinWeights(plain)}, named);
  try {
    checkNames(model, new Set([...named.keys(), ...namesOf(plain.map(({spec}) => spec))]));
    settle(model, named.keys());
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model;
}

/** Names of the model's own weights, without those of an optimizer. */
function namesOf(specs: readonly tf.io.WeightsManifestEntry[]): string[] {
  return specs.filter(({group}) => group !== 'optimizer').map(({name}) => name);
}

/** @throws WeightMismatchError if the file lacks a weight, or has one that the model has not. */
function checkNames(model: tfl.LayersModel, stored: ReadonlySet<string>): void {
  const names = new Set(model.weights.map(({originalName}) => originalName));
  const missing = [...names].find((name) => !stored.has(name));
  const extra = [...stored].find((name) => !names.has(name));
  if (missing === undefined && extra === undefined) return;
  throw new WeightMismatchError(
    missing === undefined
      ? `loadQuantized: the file has a weight '${extra}', which the model has not. Save the model again.`
      : `loadQuantized: the file has no weight '${missing}' of the model. Save the model again.`,
  );
}

/** Lets the layers of packed weights compute with them as they are. */
function settle(model: tfl.LayersModel, names: Iterable<string>): void {
  const left = new Set(names);
  const state = peftOf(model).changing();
  for (const {path} of mapModel(model).layers) {
    const matrix = state.matrixAt(path);
    if (typeof matrix === 'string' || matrix.packed === undefined) continue;
    matrix.pack(matrix.packed);
    left.delete(matrix.weight);
  }
  const [name] = left;
  if (name === undefined) return;
  const weight = model.weights.find(({originalName}) => originalName === name)!;
  throw new WeightMismatchError(
    `loadQuantized: the packed weight '${name}' ` +
      (packedOf(weight.read()) === undefined
        ? `is not [${weight.shape}], as in the model`
        : 'is one that its layer cannot have packed') +
      '. Save the model again.',
  );
}
