import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';

/** A weight of a model's file, in its stored form. */
export interface StoredWeight {
  spec: tf.io.WeightsManifestEntry;
  bytes: Uint8Array;
}

const SIZES: Record<string, number> = {
  float32: 4,
  int32: 4,
  complex64: 8,
  bool: 1,
  uint8: 1,
  uint16: 2,
  float16: 2,
};

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
    const size = tf.util.sizeFromShape(spec.shape);
    const length = spec.dtype === 'string' ? textsLength(data, at, size) : size * elementSize(spec);
    if (!(length >= 0 && at + length <= data.byteLength))
      throw new ConfigError(`The weight data end inside '${spec.name}'.`);
    const bytes = data.subarray(at, at + length);
    at += length;
    return {spec, bytes};
  });
}

/** The other way round. */
export function joinWeights(
  weights: readonly StoredWeight[],
): Pick<tf.io.ModelArtifacts, 'weightSpecs' | 'weightData'> {
  const data = new Uint8Array(weights.reduce((sum, {bytes}) => sum + bytes.byteLength, 0));
  let at = 0;
  for (const {bytes} of weights) {
    data.set(bytes, at);
    at += bytes.byteLength;
  }
  return {weightSpecs: weights.map(({spec}) => spec), weightData: data.buffer};
}

function elementSize({dtype, quantization}: tf.io.WeightsManifestEntry): number {
  return SIZES[quantization?.dtype ?? dtype]!;
}

/** Texts come each behind its length, in four bytes. */
function textsLength(data: Uint8Array, start: number, count: number): number {
  const view = new DataView(data.buffer, data.byteOffset);
  let at = start;
  for (let i = 0; i < count; i++) at += 4 + view.getUint32(at, true);
  return at - start;
}
