import {describe, PeftError, SafetensorsError} from '@tfjs-peft/kernels';
import {LIMITS} from '@tfjs-peft/routers';
import {duplicateKey, excess} from './json.js';
import {CODECS, type Codec} from './safetensors-dtypes.js';
import {decodeText} from './text-encoding.js';

/** A tensor of a file. Its values are a copy. */
export interface StoredTensor {
  dtype: 'float32' | 'int32' | 'bool';
  shape: number[];
  values: Float32Array | Int32Array | Uint8Array;
}

/** Contents of a file: tensors by name, in the order of their bytes, and metadata, strings by key. */
export interface SafetensorsFile {
  tensors: Map<string, StoredTensor>;
  metadata: Map<string, string>;
}

export const METADATA = '__metadata__';
export const LENGTH_BYTES = 8;

/**
 * Reads a safetensors file. Types F32, F16, BF16 and F64 become float32, I32, I16, I8, U16 and U8 int32, BOOL
 * bool.
 *
 * The whole file is checked first: the header must be JSON without duplicate keys, and the tensors must cover
 * the bytes after it without gap or overlap.
 *
 * @throws SafetensorsError with the tensor and the problem if the file is truncated, malformed or has a type
 * not listed above.
 * @example
 * ```ts
 * import {readSafetensors, writeSafetensors} from '@tfjs-peft/layers';
 *
 * const bytes = writeSafetensors(new Map([['a', {shape: [2], values: Float32Array.of(1, 2)}]]));
 * const values = readSafetensors(bytes).tensors.get('a')!.values; // [1, 2]
 * ```
 */
export function readSafetensors(bytes: Uint8Array): SafetensorsFile {
  const {entries, metadata, dataStart} = readHead(bytes, bytes.byteLength);
  return {
    tensors: new Map(entries.map((entry) => [entry.name, readTensor(entry, bytes, dataStart)])),
    metadata,
  };
}

/**
 * Reads the header of a file and checks it against the file's size, without the bytes of the tensors.
 *
 * @param bytes The file, or its beginning with the whole header.
 * @throws The SafetensorsErrors of {@link readSafetensors}.
 */
export function readHead(
  bytes: Uint8Array,
  fileBytes: number,
): {entries: Entry[]; metadata: Map<string, string>; dataStart: number} {
  const dataStart = LENGTH_BYTES + headerLength(bytes, fileBytes);
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, dataStart));
  const metadata = new Map<string, string>();
  const entries: Entry[] = [];
  for (const name of Object.keys(header)) {
    const value = header[name];
    if (name === METADATA) checkMetadata(value, metadata);
    else entries.push(checkEntry(name, value));
  }
  entries.sort((left, right) => left.begin - right.begin || left.end - right.end);
  checkCoverage(entries, fileBytes - dataStart);
  return {entries, metadata, dataStart};
}

/** The metadata in a file's header; the rest of the file is not checked. */
export function readMetadata(bytes: Uint8Array): Map<string, string> {
  const dataStart = LENGTH_BYTES + headerLength(bytes, bytes.byteLength);
  const metadata = new Map<string, string>();
  checkMetadata(parseHeader(bytes.subarray(LENGTH_BYTES, dataStart))[METADATA], metadata);
  return metadata;
}

/** A tensor as the header has it. */
interface Entry {
  name: string;
  codec: Codec;
  shape: number[];
  begin: number;
  end: number;
}

function headerLength(bytes: Uint8Array, fileBytes: number): number {
  const available = fileBytes - LENGTH_BYTES;
  if (available < 0) {
    throw new SafetensorsError(
      `The file has ${fileBytes} bytes, too few for a safetensors header. It is truncated: copy it again.`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Two halves, since not every engine reads 64 bits at once. What is rounded by that is refused anyway.
  const length = view.getUint32(0, true) + 2 ** 32 * view.getUint32(4, true);
  if (length > LIMITS.json) {
    throw new SafetensorsError(
      `The header claims ${length} bytes; more than ${LIMITS.json} is not allowed. This is not an ` +
        "adapter's safetensors file.",
    );
  }
  if (length > available) {
    throw new SafetensorsError(
      `The header claims ${length} bytes, but only ${available} follow. The file is truncated: copy it ` +
        'again.',
    );
  }
  return length;
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  const damaged = (what: string, cause: unknown) =>
    new SafetensorsError(`The header is not ${what}. This is not a safetensors file, or it is damaged.`, {
      cause,
    });
  let text: string;
  try {
    text = decodeText(bytes);
  } catch (cause) {
    if (cause instanceof PeftError) throw cause;
    throw damaged('UTF-8', cause);
  }
  const tooMuch = excess(text);
  if (tooMuch !== undefined) {
    throw new SafetensorsError(`The header ${tooMuch}. This is not an adapter's safetensors file.`);
  }
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    throw damaged('JSON', cause);
  }
  if (!isObject(header) || !text.startsWith('{')) {
    throw new SafetensorsError(
      'The header is not a JSON object that starts with its first byte. This is not a safetensors file.',
    );
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) {
    throw new SafetensorsError(
      `The header has the key ${describe(twice)} twice. The file is damaged: write it again.`,
    );
  }
  return header;
}

function checkMetadata(value: unknown, metadata: Map<string, string>): void {
  if (!isObject(value)) throw new SafetensorsError(`${METADATA} is ${describe(value)}, not an object.`);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') {
      throw new SafetensorsError(`${METADATA}: ${describe(key)} is ${describe(text)}, but must be a string.`);
    }
    metadata.set(key, text);
  }
}

function checkEntry(name: string, value: unknown): Entry {
  const fail = (problem: string): never => {
    throw new SafetensorsError(`Tensor ${describe(name)}: ${problem}.`);
  };
  if (!isObject(value)) return fail(`its entry is ${describe(value)}, not an object`);
  for (const key of Object.keys(value)) {
    if (!['dtype', 'shape', 'data_offsets'].includes(key))
      fail(`its entry has an unknown key ${describe(key)}`);
  }
  const {dtype, shape, data_offsets: offsets} = value;
  const codec = typeof dtype === 'string' ? CODECS.get(dtype) : undefined;
  if (codec === undefined) {
    return fail(`dtype ${describe(dtype)} cannot be read; use one of ${[...CODECS.keys()].join(', ')}`);
  }
  if (!isSizes(shape)) return fail(`shape ${describe(shape)} is not a list of integers of at least 0`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    return fail(`data_offsets ${describe(offsets)} is not a pair of integers of at least 0`);
  }
  const [begin, end] = offsets as [number, number];
  const needed = shape.reduce((product, axis) => product * axis, codec.size);
  if (!Number.isSafeInteger(needed)) fail(`shape ${describe(shape)} is too large`);
  if (end < begin) fail(`data_offsets [${begin}, ${end}] end before they begin`);
  if (end - begin !== needed) {
    fail(
      `data_offsets [${begin}, ${end}] span ${end - begin} bytes, but ${dtype} ${describe(shape)} takes ` +
        `${needed}`,
    );
  }
  return {name, codec, shape, begin, end};
}

function checkCoverage(entries: readonly Entry[], available: number): void {
  let at = 0;
  for (const {name, begin, end} of entries) {
    if (begin < at)
      throw new SafetensorsError(`Tensor ${describe(name)}: its bytes overlap another tensor's.`);
    if (begin > at) {
      throw new SafetensorsError(
        `Tensor ${describe(name)}: there is a gap of ${begin - at} bytes before its data.`,
      );
    }
    if (end > available) {
      throw new SafetensorsError(
        `Tensor ${describe(name)}: its data ends at byte ${end}, but the file has only ${available} bytes ` +
          'of data. The file is truncated: copy it again.',
      );
    }
    at = end;
  }
  if (at < available) {
    throw new SafetensorsError(
      `The file has ${available - at} bytes after the last tensor's data. It is damaged: write it again.`,
    );
  }
}

function readTensor({codec, shape, begin, end}: Entry, bytes: Uint8Array, dataStart: number): StoredTensor {
  // Element by element through a view: the data of a file need not be aligned to its type, and `slice` of a
  // Node Buffer is no copy.
  const view = new DataView(bytes.buffer, bytes.byteOffset + dataStart + begin, end - begin);
  const length = (end - begin) / codec.size;
  const Values = {float32: Float32Array, int32: Int32Array, bool: Uint8Array}[codec.dtype];
  const values = new Values(length);
  for (let i = 0; i < length; i++) values[i] = codec.read(view, i * codec.size);
  return {dtype: codec.dtype, shape, values};
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
