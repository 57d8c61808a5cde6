import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {askHandler, oneHandler} from '../io/place.js';

/** Where a model is: an address or path that tfjs has a handler for, a handler, or the artifacts themselves. */
export type ArtifactSource = string | tf.io.IOHandler | tf.io.IOHandlerSync | tf.io.ModelArtifacts;

/**
 * Reads the artifacts of a model.
 *
 * @throws ConfigError if nothing can load the source, or what does so fails or gives nothing.
 */
export async function loadArtifacts(
  source: ArtifactSource,
  options?: tf.io.LoadOptions,
): Promise<tf.io.ModelArtifacts> {
  if (typeof source === 'string') {
    const handlers = tf.io.getLoadHandlers(source, options);
    // tfjs itself tries http where nothing else feels responsible, which a file name without a scheme needs in a browser.
    const handler =
      handlers.length === 0 ? tf.io.http(source, options) : oneHandler(handlers, source, 'load');
    return loadWith(handler, `'${source}'`, source);
  }
  if (typeof source !== 'object' || source === null) {
    throw new ConfigError(
      'normalizeArtifacts takes an address, an IO handler with load(), or model artifacts.',
    );
  }
  if ('load' in source || 'save' in source) return loadWith(source, 'The IO handler', source);
  return checked(source as tf.io.ModelArtifacts, 'The artifacts');
}

async function loadWith(handler: tf.io.IOHandler | tf.io.IOHandlerSync, what: string, source: unknown) {
  if (typeof handler.load !== 'function')
    throw new ConfigError(`${what} cannot load. Pass a handler that has load().`);
  return checked(await askHandler(source, 'load', () => handler.load!()), what);
}

function checked(artifacts: tf.io.ModelArtifacts, what: string): tf.io.ModelArtifacts {
  const modelTopology: unknown = artifacts?.modelTopology;
  if (typeof modelTopology !== 'object' || modelTopology === null || modelTopology instanceof ArrayBuffer) {
    throw new ConfigError(
      `${what} has no modelTopology as JSON. Pass a model.json as the converter writes it.`,
    );
  }
  return artifacts;
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
  for (let i = 0; i < size; i++) end += 4 + view.getUint32(end, true);
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
