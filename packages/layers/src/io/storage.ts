import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, WeightMismatchError} from '@tfjs-peft/kernels';
import {
  type AdapterFile,
  CONFIG_FILE,
  checkAdapterFile,
  checkWeights,
  WEIGHTS_FILE,
  type WeightValues,
} from './adapter-file.js';
import {readFromFolder, writeFolder} from './folder.js';
import {hashWeights} from './hash.js';
import {modelCard} from './model-card.js';
import {folderOf, type Place} from './place.js';

import {readSafetensors, writeSafetensors} from './safetensors.js';

/** What {@link Peft.save} wrote. */
export interface SaveResult {
  /** Number of tensors. */
  tensors: number;
  /** Bytes of all tensors. */
  bytes: number;
  /** Paths of the files, where they went into a folder. */
  files: string[];
}

/** An adapter as it is stored: its config, and its weights by key. */
export interface StoredFile {
  file: AdapterFile;
  weights: Map<string, WeightValues>;
}

const FORMAT = 'tfjs-peft';
/** Key of the config among the metadata of the safetensors file. */
const EMBEDDED = 'config';

/**
 * Stores an adapter.
 *
 * @throws ConfigError if nothing can be stored in such a place.
 */
export async function store(to: Place, {file, weights}: StoredFile): Promise<SaveResult> {
  const tensors = weights.size;
  const bytes = [...weights.values()].reduce((sum, {values}) => sum + values.byteLength, 0);
  const folder = folderOf(to);
  if (folder !== undefined) {
    const text = new TextEncoder();
    const files = new Map([
      [
        WEIGHTS_FILE,
        writeSafetensors(
          weights,
          new Map([
            ['format', FORMAT],
            [EMBEDDED, JSON.stringify(file)],
          ]),
        ),
      ],
      [CONFIG_FILE, text.encode(`${JSON.stringify(file, null, 2)}\n`)],
      ['README.md', text.encode(modelCard(file))],
    ]);
    return {tensors, bytes, files: await writeFolder(folder, files)};
  }
  const handler = typeof to === 'string' ? oneHandler(tf.io.getSaveHandlers(to), to, 'save') : to;
  if (typeof handler?.save !== 'function') throw noHandler(to, 'save');
  await handler.save(toArtifacts({file, weights}));
  return {tensors, bytes, files: []};
}

/**
 * Fetches what {@link store} stored, checked for soundness in itself.
 *
 * @throws ConfigError if there is nothing, or the config is malformed; SafetensorsError if the weights are; WeightMismatchError if
 * the two do not fit.
 */
export async function fetchStored(from: Place): Promise<StoredFile> {
  const found = await read(from);
  checkWeights(found.file, found.weights);
  if ((await digest(found.weights)) !== found.file.weightsSha256) {
    throw new WeightMismatchError(
      `The weights are not those that ${CONFIG_FILE} was saved with: their SHA-256 is another. Copy or save the adapter again.`,
    );
  }
  return found;
}

/** SHA-256 over weights, whatever their order. */
export async function digest(weights: ReadonlyMap<string, WeightValues>): Promise<string> {
  const sorted = [...weights].sort(([left], [right]) => (left < right ? -1 : 1));
  const hashable = sorted.map(([name, {shape, values}]) => ({name, shape, read: () => values}));
  return (await hashWeights(hashable)).sha256;
}

async function read(from: Place): Promise<StoredFile> {
  const folder = folderOf(from);
  if (folder !== undefined) return fromFiles((name) => readFromFolder(folder, name));
  if (typeof from === 'string' && isWebFolder(from)) return fromFiles((name) => download(from, name));
  const handler = typeof from === 'string' ? oneHandler(tf.io.getLoadHandlers(from), from, 'load') : from;
  if (typeof handler?.load !== 'function') throw noHandler(from, 'load');
  return fromArtifacts(await handler.load());
}

async function fromFiles(readFile: (name: string) => Promise<Uint8Array>): Promise<StoredFile> {
  const {tensors, metadata} = readSafetensors(await readFile(WEIGHTS_FILE));
  const weights = new Map<string, WeightValues>();
  for (const [key, {dtype, shape, values}] of tensors) {
    if (dtype !== 'float32') {
      throw new WeightMismatchError(
        `${WEIGHTS_FILE}: '${key}' is ${dtype}, but adapters are of floating point.`,
      );
    }
    weights.set(key, {shape, values: values as Float32Array});
  }
  const file = parseConfig(new TextDecoder().decode(await readFile(CONFIG_FILE)));
  const embedded = metadata.get(EMBEDDED);
  if (embedded === undefined) return {file, weights};
  const own = parseConfig(embedded);
  // Two files cannot be replaced at one stroke. If the writer died in between, the weights' own copy of the config is the right one.
  if (own.weightsSha256 !== file.weightsSha256 && own.weightsSha256 === (await digest(weights))) {
    return {file: own, weights};
  }
  const changed = Object.keys({...own, ...file}).filter(
    (field) => !sameJson(own[field as never], file[field as never]),
  );
  if (changed.length > 0) {
    throw new WeightMismatchError(
      `${CONFIG_FILE} differs from the copy of it that ${WEIGHTS_FILE} carries, in: ${changed.join(', ')}. ` +
        'One of them was changed or damaged: copy or save the adapter again.',
    );
  }
  return {file, weights};
}

/** Whether two values are the same as JSON, in whatever order their keys come. */
function sameJson(left: unknown, right: unknown): boolean {
  const sorted = (_key: string, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort())
      : value;
  return JSON.stringify(left, sorted) === JSON.stringify(right, sorted);
}

function parseConfig(text: string): AdapterFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ConfigError(`${CONFIG_FILE} is not JSON. Copy or save the adapter again.`, {cause});
  }
  return checkAdapterFile(value);
}

async function download(url: string, name: string): Promise<Uint8Array> {
  const address = `${url.replace(/\/$/, '')}/${name}`;
  const response = await tf.util.fetch(address);
  if (!response.ok) {
    throw new ConfigError(
      `Cannot read '${address}' (status ${response.status}). Give the URL of the adapter's folder.`,
    );
  }
  return new Uint8Array(await response.arrayBuffer());
}

function toArtifacts({file, weights}: StoredFile): tf.io.ModelArtifacts {
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

function fromArtifacts({modelTopology, weightSpecs, weightData}: tf.io.ModelArtifacts): StoredFile {
  const file = checkAdapterFile(modelTopology);
  const data = tf.io.CompositeArrayBuffer.join(weightData ?? []);
  const weights = new Map<string, WeightValues>();
  let at = 0;
  for (const {name, shape, dtype, quantization} of weightSpecs ?? []) {
    if (dtype !== 'float32' || quantization !== undefined || weights.has(name)) {
      throw new WeightMismatchError(
        `The stored weight '${name}' is not one plain float32 tensor. Save the adapter again.`,
      );
    }
    const end = at + 4 * tf.util.sizeFromShape(shape);
    if (end > data.byteLength) {
      throw new WeightMismatchError(`The stored weights end inside '${name}'. Save the adapter again.`);
    }
    weights.set(name, {shape, values: new Float32Array(data.slice(at, end))});
    at = end;
  }
  if (at !== data.byteLength) {
    throw new WeightMismatchError(`There are ${data.byteLength - at} bytes behind the last stored weight.`);
  }
  return {file, weights};
}

/** Whether it is the URL of a folder on the web; one that ends in .json is a model's that tfjs saved there. */
function isWebFolder(url: string): boolean {
  return /^https?:\/\//i.test(url) && !/\.json($|\?)/i.test(url);
}

function oneHandler(handlers: tf.io.IOHandler[], url: string, verb: 'save' | 'load'): tf.io.IOHandler {
  if (handlers.length !== 1) throw noHandler(url, verb);
  return handlers[0]!;
}

function noHandler(place: Place, verb: 'save' | 'load'): ConfigError {
  const what = typeof place === 'string' ? `'${place}'` : 'the given object';
  return new ConfigError(
    `No IO handler can ${verb} ${verb === 'save' ? 'to' : 'from'} ${what}. Use a folder (in Node), a URL such as ` +
      `indexeddb://my-adapter, or a tf.io.IOHandler with a method ${verb}.`,
  );
}
