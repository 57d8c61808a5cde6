import {checkPacked, fromHalves, type PackedCodes} from '@tfjs-peft/kernels';

/** Scales or offsets as numbers. */
function floatsOf(part: NonNullable<PackedCodes['scale']>): Float32Array {
  return part instanceof Float32Array ? part : fromHalves(part.halves, 'f16');
}

/**
 * Decodes a quantised matrix (MP-ISMoE eq. 3: w_d = s (w_q - z)), to float32. It needs no format: any matrix
 * of integer codes, halves or a codebook will do, such as one read from a file.
 *
 * @returns The weights, row-major [dIn · dOut].
 * @throws ShapeError or ConfigError if the parts of the matrix do not belong together.
 * @example
 * ```ts
 * import {dequantize, quantize} from '@tfjs-peft/quant';
 *
 * const values = dequantize(quantize([0, 1, 2, 3], [2, 2], 'int8'));
 * ```
 */
export function dequantize(packed: PackedCodes): Float32Array {
  checkPacked('dequantize', packed);
  const {shape, values, codes, group, unitColumns, zero = 0, zeros, codebook} = packed;
  const [rows, columns] = shape;
  const scale = packed.scale && floatsOf(packed.scale);
  const offset = packed.offset && floatsOf(packed.offset);
  const decoded =
    values === 'f16' || values === 'bf16' ? fromHalves(codes, values) : new Float32Array(codes.length);
  if (codebook) for (let at = 0; at < codes.length; at++) decoded[at] = codebook[codes[at]!]!;
  for (let i = 0, at = 0; i < rows; i++) {
    const first = Math.floor(i / group) * unitColumns;
    for (let j = 0; j < columns; j++, at++) {
      const unit = unitColumns === 1 ? first : first + j;
      const value = values === 'integer' ? codes[at]! - (zeros ? zeros[unit]! : zero) : decoded[at]!;
      decoded[at] = scale ? scale[unit]! * value : value;
      if (offset) decoded[at]! += offset[unit]!;
    }
  }
  return decoded;
}
