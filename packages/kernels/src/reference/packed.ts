import type {PackedCodes} from '../packed/data.js';
import {generate, type Matrix} from './matrix.js';

/** An IEEE half (11 bits of significand) or a bfloat16 (8), from its definition. */
function half(bits: number, significand: number): number {
  const fraction = bits % 2 ** (significand - 1);
  const exponents = 2 ** (16 - significand);
  const exponent = Math.floor(bits / 2 ** (significand - 1)) % exponents;
  const bias = exponents / 2 - 1;
  const sign = bits >= 2 ** 15 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** (2 - bias - significand);
  return sign * (1 + fraction / 2 ** (significand - 1)) * 2 ** (exponent - bias);
}

/**
 * The matrix that codes stand for, in float64.
 *
 * @example
 * ```ts
 * import {unpackReference} from '@tfjs-peft/kernels/reference';
 *
 * const w = unpackReference({
 *   codes: Uint8Array.of(1, 2),
 *   shape: [1, 2],
 *   bits: 2,
 *   values: 'integer',
 *   group: 1,
 *   unitColumns: 2,
 *   zero: 2,
 * }); // [-1, 0]
 * ```
 */
export function unpackReference(packed: PackedCodes): Matrix {
  const {shape, codes, values, group, unitColumns, zero, zeros, scale, offset, codebook} = packed;
  const [rows, columns] = shape;
  const numberAt = (part: NonNullable<PackedCodes['scale']>, unit: number): number =>
    'halves' in part ? half(part.halves[unit]!, 11) : part[unit]!;
  return generate(rows, columns, (i, j) => {
    const unit = Math.floor(i / group) * unitColumns + (unitColumns === 1 ? 0 : j);
    const code = codes[i * columns + j]!;
    let value = code - (zeros === undefined ? (zero ?? 0) : zeros[unit]!);
    if (values === 'codebook') value = codebook![code]!;
    else if (values !== 'integer') value = half(code, values === 'f16' ? 11 : 8);
    const scaled = scale === undefined ? value : numberAt(scale, unit) * value;
    // Not plus 0, which would take the sign of a zero.
    return offset === undefined ? scaled : scaled + numberAt(offset, unit);
  });
}
