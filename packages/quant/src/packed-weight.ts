import {unpackBits} from './bits.js';
import {type Granularity, unitAt, unitsOf} from './granularity.js';

/** A quantised matrix as plain data: weight (i, j) is scale[u] · (code(i, j) - zero[u]) for its unit u. */
export interface PackedWeight {
  shape: readonly [number, number];
  /** Width of a code, 2 to 8. */
  bits: number;
  /** Which weights share a scale. */
  group: Granularity;
  /** One per unit, row-major over the units (see {@link unitsOf}). */
  scale: Float32Array;
  /** One per unit; always 2^(bits-1) if the grid is symmetric. */
  zero: Int32Array;
  /** The codes, row-major, `bits` bits each, the first in the lowest bits of the first byte. */
  data: Uint8Array;
}

/**
 * The codes of a packed weight, row-major [dIn · dOut].
 *
 * @example
 * ```ts
 * import {quantize, unpackCodes} from '@tfjs-peft/quant';
 *
 * const codes = unpackCodes(quantize([0, 1, 2, 3], [2, 2], {bits: 2}));
 * ```
 */
export function unpackCodes(packed: PackedWeight): Uint8Array {
  return unpackBits(packed.data, packed.bits, packed.shape[0] * packed.shape[1]);
}

/**
 * Decodes a packed weight (MP-ISMoE eq. 3: w_d = s (w_q - z)), row-major [dIn · dOut].
 *
 * @example
 * ```ts
 * import {dequantize, quantize} from '@tfjs-peft/quant';
 *
 * const values = dequantize(quantize([0, 1, 2, 3], [2, 2]));
 * ```
 */
export function dequantize(packed: PackedWeight): Float32Array {
  const [rows, columns] = packed.shape;
  const units = unitsOf(packed.shape, packed.group);
  const values = new Float32Array(rows * columns);
  const codes = unpackCodes(packed);
  for (let i = 0, at = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++, at++) {
      const unit = unitAt(units, i, j);
      values[at] = packed.scale[unit]! * (codes[at]! - packed.zero[unit]!);
    }
  }
  return values;
}

/**
 * The number of bytes of a packed weight: codes, scales and zero points.
 *
 * @example
 * ```ts
 * import {packedBytes, quantize} from '@tfjs-peft/quant';
 *
 * const bytes = packedBytes(quantize([0, 1, 2, 3], [2, 2], {bits: 4})); // 2 + 2 · 8
 * ```
 */
export function packedBytes({data, scale, zero}: PackedWeight): number {
  return data.byteLength + scale.byteLength + zero.byteLength;
}
