import * as tf from '@tensorflow/tfjs-core';
import {
  checkPacked,
  describe,
  type PackedData,
  type PackedGrid,
  unpackData,
  WeightMismatchError,
} from '@tfjs-peft/kernels';
import {own} from '../../core/io/json.js';
import type {StoredWeight} from '../../core/io/weight-bytes.js';
import type {MatrixPlace} from '../../core/tfjs/packed-variable.js';

/** The key of {@link PackedRecord}s in a model's topology, which loaders of tfjs pass over. */
export const PACKED_KEY = 'tfjsPeftPacked';

/** How a packed weight is described in a file, beside the weights that hold its parts. */
interface PackedRecord extends PackedGrid {
  /** The weight's name in the model. */
  weight: string;
  place: MatrixPlace;
  /** The parts that it has, in this order. */
  parts: string[];
}

/** A packed weight of a model, on the host. */
export interface PackedWeight {
  name: string;
  place: MatrixPlace;
  data: PackedData;
}

const PARTS = ['codes', 'scale', 'zeros', 'offset', 'codebook'] as const;

/** The name of the weight that holds a part: stock tfjs, which has no place for it, says it. */
const nameOf = (weight: string, part: string): string =>
  `${weight}:${part} (packed: loadQuantized of @tfjs-peft/layers/quantize)`;

/** What a file has of a packed weight. */
export function toFile({name, place, data}: PackedWeight): {record: PackedRecord; weights: StoredWeight[]} {
  const {shape, bits, values, group, unitColumns, zero} = data;
  const weights = PARTS.flatMap((part): StoredWeight[] => {
    const given = data[part];
    if (given === undefined) return [];
    const stored = nameOf(name, part);
    if (given instanceof Uint8Array)
      return [{spec: {name: stored, shape: [given.byteLength / 4], dtype: 'int32'}, bytes: given}];
    if (given instanceof Float32Array)
      return [{spec: {name: stored, shape: [given.length], dtype: 'float32'}, bytes: bytesOf(given)}];
    const quantization = {dtype: 'float16'} as const;
    const {halves} = given;
    return [
      {spec: {name: stored, shape: [halves.length], dtype: 'float32', quantization}, bytes: bytesOf(halves)},
    ];
  });
  const parts = PARTS.filter((part) => data[part] !== undefined);
  const grid = {shape, bits, values, group, unitColumns, ...(zero !== undefined && {zero})};
  return {record: {weight: name, place, parts, ...grid}, weights};
}

const bytesOf = ({buffer, byteOffset, byteLength}: Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/**
 * The packed weights of a file, and its other weights.
 *
 * @param records What the topology has under {@link PACKED_KEY}.
 * @throws WeightMismatchError or the errors of `checkPacked` if records and weights do not fit each other.
 */
export function fromFile(
  records: unknown,
  weights: readonly StoredWeight[],
): {packed: PackedWeight[]; plain: StoredWeight[]} {
  if (!Array.isArray(records)) throw broken(`${PACKED_KEY} is ${describe(records)}, not a list`);
  const stored = new Map(weights.map((weight) => [weight.spec.name, weight]));
  const packed = records.map((record: unknown) => read(record, stored));
  if (new Set(packed.map(({name}) => name)).size < packed.length) throw broken('two entries have one name');
  return {packed, plain: [...stored.values()]};
}

/** Takes the parts of one weight out of those that a file has. */
function read(record: unknown, stored: Map<string, StoredWeight>): PackedWeight {
  if (typeof record !== 'object' || record === null) throw broken(`an entry is ${describe(record)}`);
  const {weight: name, place, parts, ...grid} = record as Partial<PackedRecord>;
  if (typeof name !== 'string') throw broken(`an entry's weight is ${describe(name)}, not a name`);
  const what = `packed weight ${describe(name)}`;
  // Parts are optional: without this, a lost scale would pass for one that is 1.
  const found = PARTS.filter((part) => stored.has(nameOf(name, part)));
  if (!found.includes('codes') || String(found) !== String(parts))
    throw broken(
      `${what} has ${found.length === 0 ? 'no parts' : `the parts ${found.join(', ')}`}, but its entry lists ${Array.isArray(parts) ? parts.join(', ') : describe(parts)}`,
    );
  const take = (part: string): StoredWeight | undefined => {
    const found = stored.get(nameOf(name, part));
    stored.delete(nameOf(name, part));
    return found;
  };
  const {shape, bits, values, group, unitColumns, zero} = grid as PackedGrid;
  const data: PackedData = {
    ...{shape, bits, values, group, unitColumns},
    ...(zero !== undefined && {zero}),
    codes: integers(what, take('codes')) ?? new Uint8Array(0),
  };
  const zeros = integers(what, take('zeros'));
  if (zeros !== undefined) data.zeros = zeros;
  const scale = floats(what, take('scale'));
  if (scale !== undefined) data.scale = scale;
  const offset = floats(what, take('offset'));
  if (offset !== undefined) data.offset = offset;
  const codebook = floats(what, take('codebook'));
  if (codebook instanceof Float32Array) data.codebook = codebook;
  // Sizes first, which bound what unpacking allocates; then the codes.
  checkPacked(what, unpackData(data));
  return {name, place: checkPlace(what, place, data), data};
}

/** @throws WeightMismatchError if the weight's shape is not one of the matrix. */
function checkPlace(what: string, place: unknown, {shape: [rows, columns]}: PackedData): MatrixPlace {
  const given = place as Record<string, unknown> | null | undefined;
  const shape = own(given, 'shape');
  const transposed = own(given, 'transposed');
  const fits =
    Array.isArray(shape) &&
    shape.length >= 2 &&
    shape.length <= 6 &&
    shape.every((size) => Number.isSafeInteger(size) && size >= 0) &&
    (transposed === undefined || typeof transposed === 'boolean');
  const [last, before] = fits
    ? [shape.at(-1) as number, tf.util.sizeFromShape(shape.slice(0, -1) as number[])]
    : [];
  const [width, height] = transposed === true ? [rows, columns] : [columns, rows];
  if (!fits || last !== width || before !== height)
    throw broken(`${what}: place is ${describe(place)}, which does not hold [${rows}, ${columns}]`);
  return {shape: shape as number[], ...(transposed !== undefined && {transposed: transposed as boolean})};
}

function integers(what: string, stored: StoredWeight | undefined): Uint8Array | undefined {
  if (stored === undefined) return undefined;
  const {spec, bytes} = stored;
  if (spec.dtype !== 'int32' || spec.quantization !== undefined)
    throw broken(`${what}: '${spec.name}' is no int32`);
  return bytes.slice();
}

function floats(
  what: string,
  stored: StoredWeight | undefined,
): Float32Array | {halves: Uint16Array} | undefined {
  if (stored === undefined) return undefined;
  const {spec, bytes} = stored;
  const kind = spec.quantization?.dtype;
  if (spec.dtype !== 'float32' || (kind !== undefined && kind !== 'float16'))
    throw broken(`${what}: '${spec.name}' is neither float32 nor float16`);
  const {buffer} = bytes.slice();
  return kind === 'float16' ? {halves: new Uint16Array(buffer)} : new Float32Array(buffer);
}

function broken(what: string): WeightMismatchError {
  return new WeightMismatchError(
    `The file of the quantised model is broken: ${what}. Save or download it again.`,
  );
}
