import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, WeightMismatchError} from '@tfjs-peft/kernels';
import {own} from '../../core/io/json.js';
import {readModel} from '../../core/io/model-folder.js';
import type {StorageLocation} from '../../core/io/storage-location.js';
import {joinWeights, splitWeights, weightBytes} from '../../core/io/weight-bytes.js';
import type {UpgradableModel} from '../../core/lifecycle/peft.js';
import {buildLayersModel, namesOf, settle} from './build.js';
import {loadGraphPacked} from './graph.js';
import {fromFile, PACKED_KEY} from './packed-weight.js';

/**
 * Loads a model that was saved with quantised weights: they stay packed, and no more than one of them is ever
 * plain while the model is built. Adapters that were saved with a LayersModel come back too. For a
 * GraphModel, import `@tfjs-peft/layers/graph`, and say so: `loadQuantized<GraphModel>(place)`.
 *
 * `model.save` of a quantised model writes its weights packed, to any of tfjs's IO handlers; call {@link
 * dequantizeModel} before if the file is to be a plain one. `tf.loadLayersModel` refuses such a file by the
 * name of a packed weight, and a GraphModel of it fails at its first run, with an error that names this
 * function.
 *
 * @param from A folder (Node) or the `model.json` in it, a URL, or an IO handler of tfjs.
 * @returns The model, quantised as it was.
 * @throws ConfigError if there is no such file, or it is not that of a quantised model;
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
export async function loadQuantized<M extends UpgradableModel = tfl.LayersModel>(
  from: StorageLocation,
): Promise<M> {
  const artifacts = await readModel(from);
  const {[PACKED_KEY]: records, ...topology} = (artifacts.modelTopology ?? {}) as Record<string, unknown>;
  if (records === undefined) {
    throw new ConfigError(
      'loadQuantized: the model has no packed weights. Load it with tf.loadLayersModel or tf.loadGraphModel.',
    );
  }
  if (own(topology, 'node') !== undefined) {
    const model: object = await loadGraphPacked(artifacts, topology, records);
    return model as M;
  }
  if (own(topology, 'config') === undefined)
    throw new ConfigError(
      'loadQuantized: the file is not one of a model. Pass what model.save of a quantised one wrote.',
    );
  const model: tfl.LayersModel = await loadLayersPacked(artifacts, topology, records);
  return model as M;
}

async function loadLayersPacked(
  artifacts: tf.io.ModelArtifacts,
  topology: object,
  records: unknown,
): Promise<tfl.LayersModel> {
  const stored = splitWeights(artifacts.weightSpecs ?? [], await weightBytes(artifacts));
  const {packed, plain} = fromFile(records, stored);
  const left = new Map(packed.map((weight) => [weight.name, weight]));
  const model = await buildLayersModel({...artifacts, modelTopology: topology, ...joinWeights(plain)}, left);
  try {
    checkNames(model, new Set([...packed.map(({name}) => name), ...namesOf(plain)]));
    const settled = new Set(settle(model).map(({weight}) => weight));
    const lost = packed.find(({name}) => !settled.has(name));
    if (lost !== undefined) {
      const why = left.has(lost.name) ? 'has another shape in the model' : 'cannot be packed in its layer';
      throw new WeightMismatchError(
        `loadQuantized: the packed weight '${lost.name}' [${lost.place.shape}] ${why}. Save the model again.`,
      );
    }
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model;
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
