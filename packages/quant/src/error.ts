import {type PackedCodes, ShapeError} from '@tfjs-peft/kernels';
import {dequantize} from './dequantize.js';

/** The difference between weights w and their quantised form w_d; see {@link quantizationError}. */
export interface QuantizationError {
  /** Mean of (w - w_d)² over all weights: Error_q of MP-ISMoE, eq. 4. */
  mse: number;
  /** The same mean for each unit of the packed form, row-major. */
  unitMse: Float64Array;
  /** Largest |w - w_d|. */
  max: number;
  /** Cosine of the angle between w and w_d; 1 where both are all zero. */
  cosine: number;
}

/**
 * Measures in float64 how far quantised weights are from the original ones.
 *
 * @param values The original weights, row-major.
 * @throws ShapeError if their number differs from that of the codes.
 * @example
 * ```ts
 * import {quantizationError, quantize} from '@tfjs-peft/quant';
 *
 * const values = [0.1, -0.2, 0.3, 0.4];
 * const {mse, max} = quantizationError(values, quantize(values, [2, 2], 'int4'));
 * ```
 */
export function quantizationError(values: ArrayLike<number>, packed: PackedCodes): QuantizationError {
  const {shape, group, unitColumns} = packed;
  const [rows, columns] = shape;
  if (values.length !== rows * columns) {
    throw new ShapeError(
      `quantizationError: there are ${values.length} values, but the quantised matrix has shape ` +
        `[${rows},${columns}]. Pass the values from which it was made.`,
    );
  }
  const decoded = dequantize(packed);
  const units = Math.ceil(rows / group) * unitColumns;
  const unitMse = new Float64Array(units);
  const unitCount = new Float64Array(units);
  let [sum, max, dot, norm, decodedNorm] = [0, 0, 0, 0, 0];
  for (let at = 0; at < decoded.length; at++) {
    const [w, d] = [values[at]!, decoded[at]!];
    const unit =
      Math.floor(Math.floor(at / columns) / group) * unitColumns + (unitColumns === 1 ? 0 : at % columns);
    unitMse[unit]! += (w - d) ** 2;
    unitCount[unit]! += 1;
    sum += (w - d) ** 2;
    max = Math.max(max, Math.abs(w - d));
    dot += w * d;
    norm += w * w;
    decodedNorm += d * d;
  }
  const length = Math.sqrt(norm * decodedNorm);
  return {
    mse: sum / decoded.length,
    unitMse: unitMse.map((total, unit) => total / unitCount[unit]!),
    max,
    cosine: length > 0 ? dot / length : norm === decodedNorm ? 1 : 0,
  };
}
