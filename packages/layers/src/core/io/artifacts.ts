import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, describe, WeightMismatchError} from '@tfjs-peft/kernels';
import {LIMITS, plainCopy} from '@tfjs-peft/routers';
import {checkAdapterFile, isShape, type StoredFile, type WeightValues} from './adapter-file.js';
import {FORMAT} from './config-file.js';
import {nameOf, type StorageLocation} from './storage-location.js';

/** An adapter in the form that tfjs's IO handlers store: its config where a model has its topology. */
export function toArtifacts({file, weights}: StoredFile): tf.io.ModelArtifacts {
  const entries = [...weights];
  return {
    format: FORMAT,
    generatedBy: FORMAT,
    convertedBy: null,
    modelTopology: file,
    weightSpecs: entries.map(([name, {shape}]) => ({name, shape, dtype: 'float32' as const})),
    weightData: tf.io.concatenateArrayBuffers(
      entries.map(([, {values}]) => values.slice().buffer as ArrayBuffer),
    ),
  };
}

/**
 * The other way round.
 *
 * @throws ConfigError if a handler gave nothing, or something else; WeightMismatchError if
 * the weights do not fit their data.
 */
export function fromArtifacts(given: unknown, from: StorageLocation): StoredFile {
  if (typeof given !== 'object' || given === null || !('modelTopology' in given)) {
    throw new ConfigError(
      `The IO handler for ${nameOf(from)} returned ${describe(given)}, not a saved adapter. Save the ` +
        'adapter there first.',
    );
  }
  const {modelTopology, weightSpecs = [], weightData = []} = given as tf.io.ModelArtifacts;
  const what = `The stored config of ${nameOf(from)}`;
  const file = checkAdapterFile(plainCopy(what, modelTopology), what);
  if (!Array.isArray(weightSpecs) || weightSpecs.length > LIMITS.values) {
    throw new WeightMismatchError(
      `The stored weightSpecs are ${describe(weightSpecs)}. Save the adapter again.`,
    );
  }
  const data = joined(weightData);
  const weights = new Map<string, WeightValues>();
  let at = 0;
  for (const spec of weightSpecs) {
    const {name, shape, dtype, quantization} = spec ?? {};
    const plain = typeof name === 'string' && isShape(shape) && dtype === 'float32';
    if (!plain || quantization !== undefined || weights.has(name)) {
      throw new WeightMismatchError(
        `The stored weight ${describe(name)} is not one plain float32 tensor. Save the adapter again.`,
      );
    }
    const end = at + 4 * tf.util.sizeFromShape(shape);
    if (!(end <= data.byteLength)) {
      throw new WeightMismatchError(
        `The stored weights end inside ${describe(name)}. Save the adapter again.`,
      );
    }
    weights.set(name, {shape, values: new Float32Array(data.slice(at, end))});
    at = end;
  }
  if (at !== data.byteLength) {
    throw new WeightMismatchError(
      `There are ${data.byteLength - at} bytes after the last stored weight. Save the adapter again.`,
    );
  }
  return {file, weights};
}

function joined(data: unknown): ArrayBuffer {
  const parts: unknown[] = Array.isArray(data) ? data : [data];
  // Not by instanceof, since a buffer may come from another realm.
  if (parts.every((part) => Object.prototype.toString.call(part) === '[object ArrayBuffer]')) {
    return tf.io.CompositeArrayBuffer.join(parts as ArrayBuffer[]);
  }
  throw new WeightMismatchError(
    `The stored weightData is ${describe(data)}, but must be an ArrayBuffer. Save the adapter again.`,
  );
}
