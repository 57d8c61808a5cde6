import {describe, SafetensorsError} from '@tfjs-peft/kernels';
import {LIMITS} from '@tfjs-peft/routers';
import {excess} from './json.js';
import {LENGTH_BYTES, METADATA} from './safetensors.js';
import {encodeText} from './text-encoding.js';

/**
 * Writes float32 tensors as a safetensors file, in the map's order. The header is padded to align the data to
 * 8 bytes. {@link readSafetensors} reads the same names, shapes, values and metadata back.
 *
 * @throws SafetensorsError if a name is not a string or is the reserved `__metadata__`; a shape is not a list
 * of sizes or does not fit its values; values are not a Float32Array; metadata is not a Map of strings; or
 * {@link readSafetensors} would refuse the header as too long.
 * @example
 * ```ts
 * import {readSafetensors, writeSafetensors} from '@tfjs-peft/layers';
 *
 * const bytes = writeSafetensors(new Map([['a', {shape: [2], values: Float32Array.of(1, 2)}]]));
 * const {tensors} = readSafetensors(bytes);
 * ```
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, {shape: readonly number[]; values: Float32Array}>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  if (!isMap(tensors))
    throw new SafetensorsError('The tensors must be a Map from names to {shape, values}. Pass one.');
  if (!isMap(metadata))
    throw new SafetensorsError('The metadata must be a Map from strings to strings. Pass one.');
  // Joined by hand, because an object literal would lose a tensor called __proto__ and reorder one called
  // '1'.
  const fields: string[] = [];
  if (metadata.size > 0) {
    const texts = [...metadata].map(([key, text]) => `${quoted(key)}:${quoted(text)}`);
    fields.push(`"${METADATA}":{${texts.join(',')}}`);
  }
  const written = new Set<string>();
  let size = 0;
  for (const [name, tensor] of tensors) {
    const {shape, values} = checkTensor(name, tensor);
    const key = quoted(name);
    if (written.has(key)) throw new SafetensorsError(`Tensor ${describe(name)} comes twice. Rename one.`);
    written.add(key);
    const end = size + values.byteLength;
    fields.push(`${key}:${JSON.stringify({dtype: 'F32', shape, data_offsets: [size, end]})}`);
    size = end;
  }
  const header = `{${fields.join(',')}}`;
  const text = encodeText(header);
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const tooMuch = excess(header) ?? (headerBytes > LIMITS.json ? `takes ${headerBytes} bytes` : undefined);
  if (tooMuch !== undefined) {
    throw new SafetensorsError(
      `The header of ${tensors.size} tensors ${tooMuch}, too much to read it again. ` +
        'Write fewer tensors or use shorter names.',
    );
  }
  const bytes = new Uint8Array(LENGTH_BYTES + headerBytes + size);
  new DataView(bytes.buffer).setUint32(0, headerBytes, true);
  bytes.fill(0x20, LENGTH_BYTES, LENGTH_BYTES + headerBytes);
  bytes.set(text, LENGTH_BYTES);
  const view = new DataView(bytes.buffer);
  let at = LENGTH_BYTES + headerBytes;
  for (const {values} of tensors.values()) {
    // Little-endian, as the format demands, whatever the machine is.
    if (LITTLE_ENDIAN) bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    else for (let i = 0; i < values.length; i++) view.setFloat32(at + 4 * i, values[i]!, true);
    at += values.byteLength;
  }
  return bytes;
}

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

function checkTensor(name: unknown, tensor: unknown): {shape: readonly number[]; values: Float32Array} {
  const fail = (problem: string): never => {
    throw new SafetensorsError(`Tensor ${describe(name)}: ${problem}.`);
  };
  if (typeof name !== 'string') fail('a name must be a string');
  if (name === METADATA) fail('the format reserves this name. Rename the tensor');
  if (typeof tensor !== 'object' || tensor === null) {
    return fail(`it is ${describe(tensor)}, but must be {shape, values}`);
  }
  const {shape, values} = tensor as {shape: unknown; values: unknown};
  if (Object.prototype.toString.call(values) !== '[object Float32Array]') {
    fail(
      `its values are ${describe(values)}, but must be a Float32Array: the file says F32. Convert them ` +
        'with Float32Array.from',
    );
  }
  const isShape =
    Array.isArray(shape) && Array.from(shape).every((axis) => Number.isSafeInteger(axis) && axis >= 0);
  if (!isShape) return fail(`shape ${describe(shape)} is not a list of integers of at least 0`);
  const {length} = values as Float32Array;
  const wanted = (shape as number[]).reduce((product, axis) => product * axis, 1);
  if (wanted !== length) fail(`shape ${describe(shape)} does not fit its ${length} values`);
  return {shape: Array.from(shape as number[]), values: values as Float32Array};
}

function quoted(text: unknown): string {
  if (typeof text !== 'string') {
    throw new SafetensorsError(
      `${METADATA}: ${describe(text)} is not a string. Pass a Map from strings to strings.`,
    );
  }
  return JSON.stringify(text);
}

/** Not by instanceof, since a Map may come from another realm. */
function isMap(value: unknown): value is ReadonlyMap<unknown, unknown> {
  return Object.prototype.toString.call(value) === '[object Map]';
}
