/** The element type of a tensor in a file, and how its values become a tfjs tensor's. */
export interface Codec {
  /** Bytes of one element. */
  size: number;
  /** dtype of the tfjs tensor that holds the values without loss, save for F64, which is rounded. */
  dtype: 'float32' | 'int32' | 'bool';
  /** The element at a byte offset. Little-endian, as the format demands. */
  read(view: DataView, at: number): number;
}

/**
 * Types that can be read. Those that are missing have no tfjs tensor to hold them (64-bit and unsigned 32-bit
 * integers) or elements of less than 16 bits of float.
 */
export const CODECS: ReadonlyMap<string, Codec> = new Map<string, Codec>([
  ['F64', {size: 8, dtype: 'float32', read: (view, at) => view.getFloat64(at, true)}],
  ['F32', {size: 4, dtype: 'float32', read: (view, at) => view.getFloat32(at, true)}],
  ['F16', {size: 2, dtype: 'float32', read: (view, at) => fromFloat16(view.getUint16(at, true))}],
  ['BF16', {size: 2, dtype: 'float32', read: (view, at) => fromBits(view.getUint16(at, true) << 16)}],
  ['I32', {size: 4, dtype: 'int32', read: (view, at) => view.getInt32(at, true)}],
  ['I16', {size: 2, dtype: 'int32', read: (view, at) => view.getInt16(at, true)}],
  ['U16', {size: 2, dtype: 'int32', read: (view, at) => view.getUint16(at, true)}],
  ['I8', {size: 1, dtype: 'int32', read: (view, at) => view.getInt8(at)}],
  ['U8', {size: 1, dtype: 'int32', read: (view, at) => view.getUint8(at)}],
  ['BOOL', {size: 1, dtype: 'bool', read: (view, at) => (view.getUint8(at) === 0 ? 0 : 1)}],
]);

const scratch = new DataView(new ArrayBuffer(4));

function fromBits(bits: number): number {
  scratch.setInt32(0, bits);
  return scratch.getFloat32(0);
}

function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
