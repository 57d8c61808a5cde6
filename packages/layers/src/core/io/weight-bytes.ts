import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';

/** A weight of a model's file, in its stored form. */
export interface StoredWeight {
  spec: tf.io.WeightsManifestEntry;
  bytes: Uint8Array;
}

/**
 * The weights of artifacts one by one, as they lie in the file: quantised ones stay so.
 *
 * @throws ConfigError if the data end too early, or the artifacts hold none.
 */
export function splitWeights({weightSpecs = [], weightData}: tf.io.ModelArtifacts): StoredWeight[] {
  if (weightData === undefined) throw new ConfigError('The model was loaded without its weight data.');
  const data = new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData));
  let at = 0;
  return weightSpecs.map((spec) => {
    const length = byteLength(spec, data, at);
    if (at + length > data.byteLength) throw new ConfigError(`The weight data end inside '${spec.name}'.`);
    const bytes = data.subarray(at, at + length);
    at += length;
    return {spec, bytes};
  });
}

/** The other way round. */
export function joinWeights(
  weights: readonly StoredWeight[],
): Pick<tf.io.ModelArtifacts, 'weightSpecs' | 'weightData'> {
  return {
    weightSpecs: weights.map(({spec}) => spec),
    weightData: joinBytes(weights.map(({bytes}) => bytes)),
  };
}

/**
 * The bytes of all weights, in one piece.
 *
 * @throws ConfigError if the artifacts have weight specs but no bytes.
 */
export async function weightBytes(artifacts: tf.io.ModelArtifacts): Promise<Uint8Array> {
  const {weightData, getWeightStream} = artifacts;
  if (weightData !== undefined) return new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData));
  if (getWeightStream === undefined) return new Uint8Array(0);
  const chunks: ArrayBuffer[] = [];
  const reader = getWeightStream().getReader();
  for (;;) {
    const {done, value} = await reader.read();
    if (done) break;
    chunks.push(value);
  }
  return new Uint8Array(tf.io.CompositeArrayBuffer.join(chunks));
}

/** Bytes that a weight takes in the file. A string weight says its own lengths, so the data is needed too. */
export function byteLength(spec: tf.io.WeightsManifestEntry, data: Uint8Array, offset: number): number {
  const size = tf.util.sizeFromShape(spec.shape);
  if (spec.quantization !== undefined) return size * (spec.quantization.dtype === 'uint8' ? 1 : 2);
  if (spec.dtype !== 'string') return size * tf.util.bytesPerElement(spec.dtype);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let end = offset;
  for (let i = 0; i < size && end <= data.byteLength; i++)
    end += 4 + (end + 4 > data.byteLength ? data.byteLength : view.getUint32(end, true));
  return end - offset;
}

export function joinBytes(parts: readonly Uint8Array[]): ArrayBuffer {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.byteLength;
  }
  return all.buffer;
}

/** A copy of a topology, which is JSON. Its arrays are those of this realm, where structuredClone's need not be: tfjs asks instanceof. */
export function copyTopology<T>(topology: object): T {
  return JSON.parse(JSON.stringify(topology)) as T;
}
