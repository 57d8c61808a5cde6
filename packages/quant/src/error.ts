import {ShapeError} from '@tfjs-peft/kernels';
import {unitAt, unitsOf} from './granularity.js';
import {dequantize, type PackedWeight} from './packed-weight.js';

/** The difference between weights w and their packed form w_d; see {@link quantizationError}. */
export interface QuantizationError {
  /** Mean of (w - w_d)² over all weights: Error_q of MP-ISMoE, eq. 4. */
  mse: number;
  /** The same mean for each unit, row-major over the units. */
  unitMse: Float64Array;
  /** Largest |w - w_d|. */
  max: number;
  /** Cosine of the angle between w and w_d; 1 where both are all zero. */
  cosine: number;
}

/**
 * Measures in float64 how far a packed weight is from the original weights.
 *
 * @param values The original weights, row-major.
 * @throws ShapeError if their number differs from that of the packed weight.
 * @example
 * ```ts
 * import {quantizationError, quantize} from '@tfjs-peft/quant';
 *
 * const values = [0.1, -0.2, 0.3, 0.4];
 * const {mse, max} = quantizationError(values, quantize(values, [2, 2], {bits: 4}));
 * ```
 */
export function quantizationError(values: ArrayLike<number>, packed: PackedWeight): QuantizationError {
  const [rows, columns] = packed.shape;
  if (values.length !== rows * columns) {
    throw new ShapeError(
      `quantizationError: there are ${values.length} values, but the packed weight has shape [${rows}, ` +
        `${columns}]. Pass the values from which it was made.`,
    );
  }
  const decoded = dequantize(packed);
  const units = unitsOf(packed.shape, packed.group);
  const unitMse = new Float64Array(packed.scale.length);
  const unitCount = new Float64Array(packed.scale.length);
  let [sum, max, dot, norm, decodedNorm] = [0, 0, 0, 0, 0];
  for (let at = 0; at < decoded.length; at++) {
    const [w, d] = [values[at]!, decoded[at]!];
    const unit = unitAt(units, Math.floor(at / columns), at % columns);
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
