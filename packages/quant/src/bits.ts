/**
 * Packs codes of `bits` bits each into bytes, the first code in the lowest bits, no padding between codes.
 */
export function packBits(codes: ArrayLike<number>, bits: number): Uint8Array {
  if (bits === 8) return Uint8Array.from(codes);
  const bytes = new Uint8Array(Math.ceil((codes.length * bits) / 8));
  // Byte and bit are counted on their own: the number of a bit does not fit the 32 of a shift.
  let at = 0;
  let bit = 0;
  for (let i = 0; i < codes.length; i++) {
    const shifted = codes[i]! << bit;
    bytes[at]! |= shifted & 255;
    if (shifted > 255) bytes[at + 1]! |= shifted >> 8;
    bit += bits;
    at += bit >> 3;
    bit &= 7;
  }
  return bytes;
}

/** The inverse of {@link packBits}: the first `length` codes. */
export function unpackBits(bytes: Uint8Array, bits: number, length: number): Uint8Array {
  const codes = new Uint8Array(length);
  if (bits === 8) {
    codes.set(bytes.subarray(0, length));
    return codes;
  }
  const mask = 2 ** bits - 1;
  let at = 0;
  let bit = 0;
  for (let i = 0; i < length; i++) {
    const word = bytes[at]! | ((bytes[at + 1] ?? 0) << 8);
    codes[i] = (word >> bit) & mask;
    bit += bits;
    at += bit >> 3;
    bit &= 7;
  }
  return codes;
}
