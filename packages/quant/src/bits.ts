/** Packs codes of `bits` bits each into bytes, the first code in the lowest bits, no padding between codes. */
export function packBits(codes: ArrayLike<number>, bits: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((codes.length * bits) / 8));
  for (let i = 0; i < codes.length; i++) {
    const at = i * bits;
    const shifted = codes[i]! << (at & 7);
    bytes[at >> 3]! |= shifted & 255;
    if (shifted > 255) bytes[(at >> 3) + 1]! |= shifted >> 8;
  }
  return bytes;
}

/** The inverse of {@link packBits}: the first `length` codes. */
export function unpackBits(bytes: Uint8Array, bits: number, length: number): Uint8Array {
  const codes = new Uint8Array(length);
  const mask = 2 ** bits - 1;
  for (let i = 0; i < length; i++) {
    const at = i * bits;
    const word = bytes[at >> 3]! | ((bytes[(at >> 3) + 1] ?? 0) << 8);
    codes[i] = (word >> (at & 7)) & mask;
  }
  return codes;
}
