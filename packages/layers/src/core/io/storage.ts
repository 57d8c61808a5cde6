import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, PeftError, SafetensorsError, WeightMismatchError} from '@tfjs-peft/kernels';
import {reasonOf} from '../messages.js';
import {
  type AdapterFile,
  CONFIG_FILE,
  checkFinite,
  checkWeights,
  type StoredFile,
  WEIGHTS_FILE,
  type WeightValues,
} from './adapter-file.js';
import {fromArtifacts, toArtifacts} from './artifacts.js';
import {FORMAT, parseConfig} from './config-file.js';
import {SAFETENSORS, whatIs} from './file-signatures.js';
import {type NewFile, placeIn, readFromFolder, writeFolder} from './folder.js';
import {isOurCard, type Loader, modelCard} from './model-card.js';
import {readHead, readMetadata, readSafetensors} from './safetensors.js';
import {writeSafetensors} from './safetensors-writer.js';
import {
  addressIn,
  askHandler,
  folderOf,
  noHandler,
  oneHandler,
  type StorageLocation,
  webFolderOf,
} from './storage-location.js';
import {decodeText, encodeText} from './text-encoding.js';
import {hashWeights} from './weight-hashes.js';

/** What {@link AnyPeft.save} wrote. */
export interface SaveResult {
  /** Number of tensors. */
  tensors: number;
  /** Bytes of all tensors. */
  bytes: number;
  /**
   * Paths of the files, where they went into a folder. A README.md that is the user's own
   * stays as it is and is not among them.
   */
  files: string[];
}

/** Key of the config among the metadata of the safetensors file. */
const EMBEDDED = 'config';

/**
 * Stores an adapter.
 *
 * @param loader What loads it, as its README says. Default: `loadPeft`.
 * @throws ConfigError if nothing can be stored in such a place, the folder has files of these names that are
 * not ours, or a weight is not finite.
 */
export async function store(
  to: StorageLocation,
  {file, weights}: StoredFile,
  loader?: Loader,
): Promise<SaveResult> {
  checkFinite(weights, 'save');
  const tensors = weights.size;
  const bytes = [...weights.values()].reduce((sum, {values}) => sum + values.byteLength, 0);
  const folder = folderOf(to);
  if (folder !== undefined) {
    return {tensors, bytes, files: await writeFolder(folder, await filesOf(folder, {file, weights}, loader))};
  }
  const handler = typeof to === 'string' ? oneHandler(tf.io.getSaveHandlers(to), to, 'save') : to;
  if (typeof handler?.save !== 'function') throw noHandler(to, 'save');
  await askHandler(to, 'save', () => handler.save!(toArtifacts({file, weights})));
  return {tensors, bytes, files: []};
}

/**
 * The three files of an adapter. Only what save wrote itself gives its place to them; a
 * README.md that it did not write stays.
 */
async function filesOf(
  folder: string,
  {file, weights}: StoredFile,
  loader?: Loader,
): Promise<Map<string, NewFile>> {
  const metadata = new Map([
    ['format', FORMAT],
    [EMBEDDED, JSON.stringify(file)],
  ]);
  const text = `${JSON.stringify(file, null, 2)}\n`;
  parseConfig(text, CONFIG_FILE);
  return new Map<string, NewFile>([
    [
      WEIGHTS_FILE,
      {
        bytes: writeSafetensors(weights, metadata),
        mayReplace: (head) => readMetadata(head).get('format') === FORMAT,
      },
    ],
    [
      'README.md',
      {
        bytes: encodeText(await modelCard(file, loader)),
        mayReplace: async (head) => {
          const card = decodeText(head);
          const before = await readFromFolder(folder, CONFIG_FILE, () => {})
            .then((bytes) => parseConfig(bytes, CONFIG_FILE))
            .catch(() => undefined);
          return isOurCard(card, before);
        },
        optional: true,
      },
    ],
    [
      CONFIG_FILE,
      {
        bytes: encodeText(text),
        mayReplace: (head) => (JSON.parse(decodeText(head)) as AdapterFile).format === FORMAT,
      },
    ],
  ]);
}

/**
 * Fetches what {@link store} stored, checked for soundness in itself.
 *
 * @throws ConfigError if there is nothing, or the config is malformed; SafetensorsError if the weights are;
 * WeightMismatchError if the two do not fit, or a weight is not finite.
 */
export async function fetchStored(from: StorageLocation): Promise<StoredFile> {
  const found = await read(from);
  checkWeights(found.file, found.weights);
  if ((await digest(found.weights)) !== found.file.weightsSha256) {
    throw new WeightMismatchError(
      `The weights are not those with which ${CONFIG_FILE} was saved: their SHA-256 differs. Copy or save ` +
        'the adapter again.',
    );
  }
  checkFinite(found.weights, 'load');
  return found;
}

/** SHA-256 over weights, whatever their order. */
export async function digest(weights: ReadonlyMap<string, WeightValues>): Promise<string> {
  const sorted = [...weights].sort(([left], [right]) => (left < right ? -1 : 1));
  const hashable = sorted.map(([name, {shape, values}]) => ({name, shape, read: () => values}));
  return (await hashWeights(hashable)).sha256;
}

async function read(from: StorageLocation): Promise<StoredFile> {
  const web = webFolderOf(from);
  if (web !== undefined) {
    return fromFiles(
      (name) => addressIn(web, name),
      (name) => download(addressIn(web, name)),
    );
  }
  const folder = folderOf(from);
  if (folder !== undefined) {
    return fromFiles(
      (name) => placeIn(folder, name),
      (name, check) => readFromFolder(folder, name, check),
    );
  }
  const handler = typeof from === 'string' ? oneHandler(tf.io.getLoadHandlers(from), from, 'load') : from;
  if (typeof handler?.load !== 'function') throw noHandler(from, 'load');
  return fromArtifacts(await askHandler(from, 'load', () => handler.load!()), from);
}

/** Looks at the first bytes of a file, and its size, before all of it is read. */
type Check = (head: Uint8Array, size: number) => void;

async function fromFiles(
  placeOf: (name: string) => string,
  readFile: (name: string, check: Check) => Promise<Uint8Array>,
): Promise<StoredFile> {
  const place = placeOf(WEIGHTS_FILE);
  const checkHead: Check = (head, size) => {
    about(place, head, () => readHead(head, size));
  };
  const bytes = await readFile(WEIGHTS_FILE, checkHead);
  const {tensors, metadata} = about(place, bytes, () => readSafetensors(bytes));
  const weights = new Map<string, WeightValues>();
  for (const [key, {dtype, shape, values}] of tensors) {
    if (dtype !== 'float32') {
      throw new WeightMismatchError(
        `${WEIGHTS_FILE}: '${key}' is ${dtype}, but adapters need a floating-point type. Convert it to F32.`,
      );
    }
    weights.set(key, {shape, values: values as Float32Array});
  }
  const file = parseConfig(await readFile(CONFIG_FILE, () => {}), placeOf(CONFIG_FILE));
  const embedded = metadata.get(EMBEDDED);
  if (embedded === undefined) return {file, weights};
  const own = parseConfig(embedded, `The config in ${WEIGHTS_FILE}`);
  // Two files cannot be replaced at one stroke. If the writer died in between, the weights' own copy of the
  // config is the right one.
  if (own.weightsSha256 !== file.weightsSha256 && own.weightsSha256 === (await digest(weights))) {
    return {file: own, weights};
  }
  const changed = Object.keys({...own, ...file}).filter(
    (field) => !sameJson(Reflect.get(own, field), Reflect.get(file, field)),
  );
  if (changed.length > 0) {
    throw new WeightMismatchError(
      `${CONFIG_FILE} differs from the copy of it that ${WEIGHTS_FILE} carries, in: ${changed.join(', ')}. ` +
        'One of them was changed or damaged: copy or save the adapter again.',
    );
  }
  return {file, weights};
}

/**
 * Reads the weights; the error says of which file it speaks, and what that is if
 * it is something else altogether.
 */
function about<T>(place: string, bytes: Uint8Array, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error;
    const is = whatIs(bytes);
    const message =
      is === undefined || is === SAFETENSORS ? `'${place}': ${error.message}` : `'${place}' is ${is}.`;
    throw new SafetensorsError(message, {cause: error});
  }
}

/** Whether two values are the same as JSON, in whatever order their keys come. */
function sameJson(left: unknown, right: unknown): boolean {
  const sorted = (_key: string, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort())
      : value;
  return (
    JSON.stringify(left) === JSON.stringify(right) ||
    JSON.stringify(left, sorted) === JSON.stringify(right, sorted)
  );
}

/**
 * Fetches a file from the web.
 *
 * @throws ConfigError that gives the address, if there is no such server or file, or it breaks off.
 */
async function download(address: string): Promise<Uint8Array> {
  try {
    const response = await tf.util.fetch(address);
    if (!response.ok) {
      throw new ConfigError(
        `Cannot read '${address}' (status ${response.status}). Pass the URL of the adapter's folder.`,
      );
    }
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    if (cause instanceof PeftError) throw cause;
    throw new ConfigError(
      `Cannot read '${address}' (${reasonOf(cause)}). Check the address, and that its server can be reached.`,
      {cause},
    );
  }
}
