import {SafetensorsError} from '@tfjs-peft/kernels';
import {duplicateKey} from './json-keys.js';
import {CODECS, type Codec} from './safetensors-dtypes.js';

/** A tensor of a file, its values in memory of their own. */
export interface StoredTensor {
  dtype: 'float32' | 'int32' | 'bool';
  shape: number[];
  values: Float32Array | Int32Array | Uint8Array;
}

/** What a file holds: tensors by name, in the order of their bytes, and free texts by key. */
export interface SafetensorsFile {
  tensors: Map<string, StoredTensor>;
  metadata: Map<string, string>;
}

const METADATA = '__metadata__';
const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Reads a safetensors file. Types F32, F16, BF16 and F64 become float32, I32, I16, I8, U16 and U8 int32, BOOL bool.
 *
 * Nothing is returned unless the whole file is sound: the header must be JSON without duplicate keys, and the tensors must cover
 * the bytes behind it without gap or overlap.
 *
 * @throws SafetensorsError naming the tensor and the problem if the file is truncated, malformed or has a type not listed above.
 */
export function readSafetensors(bytes: Uint8Array): SafetensorsFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = headerLength(view);
  const dataStart = LENGTH_BYTES + headerBytes;
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, dataStart));
  const metadata = new Map<string, string>();
  const entries: Entry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA) readMetadata(value, metadata);
    else entries.push(checkEntry(name, value));
  }
  entries.sort((left, right) => left.begin - right.begin || left.end - right.end);
  checkCoverage(entries, bytes.byteLength - dataStart);
  return {
    tensors: new Map(entries.map((entry) => [entry.name, readTensor(entry, bytes, dataStart)])),
    metadata,
  };
}

/**
 * Writes float32 tensors as a safetensors file, in the map's order, behind a header padded so that the data is aligned to 8 bytes.
 *
 * @throws SafetensorsError if a name is `__metadata__`, which the format reserves, or a shape does not fit its values.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, {shape: readonly number[]; values: Float32Array}>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  // Joined by hand, because an object literal would lose a tensor called __proto__ and reorder one called '1'.
  const fields: string[] = [];
  if (metadata.size > 0) {
    const texts = [...metadata].map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`);
    fields.push(`"${METADATA}":{${texts.join(',')}}`);
  }
  let size = 0;
  for (const [name, {shape, values}] of tensors) {
    if (name === METADATA) {
      throw new SafetensorsError(`Tensor '${name}': the format reserves this name. Rename the tensor.`);
    }
    if (shape.reduce((product, axis) => product * axis, 1) !== values.length) {
      throw new SafetensorsError(
        `Tensor '${name}': shape [${shape}] does not fit its ${values.length} values.`,
      );
    }
    const end = size + values.byteLength;
    fields.push(
      `${JSON.stringify(name)}:${JSON.stringify({dtype: 'F32', shape, data_offsets: [size, end]})}`,
    );
    size = end;
  }
  const text = new TextEncoder().encode(`{${fields.join(',')}}`);
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(LENGTH_BYTES + headerBytes + size);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(0x20, LENGTH_BYTES, LENGTH_BYTES + headerBytes);
  bytes.set(text, LENGTH_BYTES);
  let at = LENGTH_BYTES + headerBytes;
  for (const {values} of tensors.values()) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    at += values.byteLength;
  }
  return bytes;
}

interface Entry {
  name: string;
  codec: Codec;
  shape: number[];
  begin: number;
  end: number;
}

function headerLength(view: DataView): number {
  const available = view.byteLength - LENGTH_BYTES;
  if (available < 0) {
    throw new SafetensorsError(
      `The file has ${view.byteLength} bytes, too few for a safetensors header. It is truncated: copy it again.`,
    );
  }
  const length = view.getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw new SafetensorsError(
      `The header claims ${length} bytes; more than ${MAX_HEADER_BYTES} is not allowed. This is no safetensors file.`,
    );
  }
  if (length > BigInt(available)) {
    throw new SafetensorsError(
      `The header claims ${length} bytes, but only ${available} follow. The file is truncated: copy it again.`,
    );
  }
  return Number(length);
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes);
  } catch (cause) {
    throw new SafetensorsError('The header is not UTF-8. This is no safetensors file, or a damaged one.', {
      cause,
    });
  }
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    throw new SafetensorsError('The header is not JSON. This is no safetensors file, or a damaged one.', {
      cause,
    });
  }
  if (!isObject(header) || !text.startsWith('{')) {
    throw new SafetensorsError('The header is not a JSON object that starts with its first byte.');
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) {
    throw new SafetensorsError(`The header has the key '${twice}' twice, so it is unclear which one holds.`);
  }
  return header;
}

function readMetadata(value: unknown, metadata: Map<string, string>): void {
  if (!isObject(value)) throw new SafetensorsError(`${METADATA} is ${show(value)}, not an object.`);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') {
      throw new SafetensorsError(`${METADATA}: '${key}' is ${show(text)}, but must be a text.`);
    }
    metadata.set(key, text);
  }
}

function checkEntry(name: string, value: unknown): Entry {
  const fail = (problem: string): never => {
    throw new SafetensorsError(`Tensor '${name}': ${problem}.`);
  };
  if (!isObject(value)) return fail(`its entry is ${show(value)}, not an object`);
  for (const key of Object.keys(value)) {
    if (!['dtype', 'shape', 'data_offsets'].includes(key)) fail(`its entry has an unknown key '${key}'`);
  }
  const {dtype, shape, data_offsets: offsets} = value;
  const codec = typeof dtype === 'string' ? CODECS.get(dtype) : undefined;
  if (codec === undefined) {
    return fail(`dtype ${show(dtype)} cannot be read; use one of ${[...CODECS.keys()].join(', ')}`);
  }
  if (!isSizes(shape)) return fail(`shape ${show(shape)} is not a list of integers of at least 0`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    return fail(`data_offsets ${show(offsets)} is not a pair of integers of at least 0`);
  }
  const [begin, end] = offsets as [number, number];
  const needed = shape.reduce((product, axis) => product * axis, codec.size);
  if (!Number.isSafeInteger(needed)) fail(`shape [${shape}] is too large`);
  if (end < begin) fail(`data_offsets [${begin}, ${end}] end before they begin`);
  if (end - begin !== needed) {
    fail(
      `data_offsets [${begin}, ${end}] span ${end - begin} bytes, but ${dtype} [${shape}] takes ${needed}`,
    );
  }
  return {name, codec, shape, begin, end};
}

function checkCoverage(entries: readonly Entry[], available: number): void {
  let at = 0;
  for (const {name, begin, end} of entries) {
    if (begin < at) throw new SafetensorsError(`Tensor '${name}': its bytes overlap another tensor's.`);
    if (begin > at) {
      throw new SafetensorsError(`Tensor '${name}': a gap of ${begin - at} bytes lies before its data.`);
    }
    if (end > available) {
      throw new SafetensorsError(
        `Tensor '${name}': its data ends at byte ${end}, but the file has only ${available} bytes of data. ` +
          'The file is truncated: copy it again.',
      );
    }
    at = end;
  }
  if (at < available) {
    throw new SafetensorsError(`The file has ${available - at} bytes behind the last tensor's data.`);
  }
}

function readTensor({codec, shape, begin, end}: Entry, bytes: Uint8Array, dataStart: number): StoredTensor {
  // Element by element through a view: the data of a file need not be aligned to its type, and `slice` of a Node Buffer is no copy.
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

/** A value for a message. What the file says may be long, or nested deeper than `JSON.stringify` can follow. */
function show(value: unknown): string {
  try {
    const text = JSON.stringify(value) ?? 'missing';
    return text.length > 80 ? `${text.slice(0, 80)}…` : text;
  } catch {
    return 'a deeply nested value';
  }
}
