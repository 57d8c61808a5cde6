import * as tf from '@tensorflow/tfjs-core';
import {WeightMismatchError} from '@tfjs-peft/kernels';

/** A weight of a model's file, as it is stored. */
export interface StoredWeight {
  spec: tf.io.WeightsManifestEntry;
  bytes: Uint8Array;
}

/**
 * The weights of a file one by one, as they are stored: quantised ones stay quantised. Nothing is copied.
 *
 * @param what What the error says the weights belong to.
 * @throws WeightMismatchError if the weights take more bytes than there are.
 */
export function splitWeights(
  specs: readonly tf.io.WeightsManifestEntry[],
  data: Uint8Array,
  what = 'The model',
): StoredWeight[] {
  let start = 0;
  return specs.map((spec) => {
    const end = start + byteLength(spec, data, start);
    if (end > data.byteLength) {
      throw new WeightMismatchError(
        `${what} has ${data.byteLength} bytes of weights, but '${spec.name}' [${spec.shape}] ends at byte ${end}. ` +
          'The file is cut off, or not that of this model: load it again.',
      );
    }
    const bytes = data.subarray(start, end);
    start = end;
    return {spec, bytes};
  });
}

/** Weights one behind the other, with their specs. */
export function joinWeights(
  weights: Iterable<StoredWeight>,
): Required<Pick<tf.io.ModelArtifacts, 'weightSpecs' | 'weightData'>> {
  const list = [...weights];
  const data = new Uint8Array(list.reduce((sum, {bytes}) => sum + bytes.byteLength, 0));
  let start = 0;
  for (const {bytes} of list) {
    data.set(bytes, start);
    start += bytes.byteLength;
  }
  return {weightSpecs: list.map(({spec}) => spec), weightData: data.buffer};
}

/**
 * The bytes of all weights in one piece, whether the artifacts hold them or
 * stream them; none if they do neither.
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
function byteLength(spec: tf.io.WeightsManifestEntry, data: Uint8Array, offset: number): number {
  const size = tf.util.sizeFromShape(spec.shape);
  if (spec.quantization !== undefined) return size * (spec.quantization.dtype === 'uint8' ? 1 : 2);
  if (spec.dtype !== 'string') return size * tf.util.bytesPerElement(spec.dtype);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let end = offset;
  for (let i = 0; i < size && end <= data.byteLength; i++)
    end += 4 + (end + 4 > data.byteLength ? data.byteLength : view.getUint32(end, true));
  return end - offset;
}

/**
 * A copy of a topology, which is JSON. Its arrays are those of this realm, where structuredClone's need not
 * be: tfjs asks instanceof.
 */
export function copyTopology<T>(topology: object): T {
  return JSON.parse(JSON.stringify(topology)) as T;
}
