import {checkOptions, type PackedCodes} from '@tfjs-peft/kernels';
import type {Calibration} from './calibration.js';
import {createFormat} from './define-format.js';
import {createQuantizer} from './define-quantizer.js';
import type {FormatSpec} from './format.js';
import {checkWeights, toPacked} from './matrix.js';
import type {QuantizerSpec} from './quantizer.js';

/** Options of {@link quantize}. */
export interface QuantizeOptions {
  /** How grids and codes are chosen. Default `'nearest'`. */
  quantizer?: QuantizerSpec;
  /** What is known of the layer's inputs, for quantisers that are `calibrated`. */
  calibration?: Calibration;
}

/**
 * Quantises a matrix.
 *
 * @param weights Row-major [dIn · dOut], float32 or plain numbers.
 * @param shape [dIn, dOut], as of a Dense kernel.
 * @param format A type such as `'int4'`, or a config such as `{type: 'int4', group: 32, symmetric: true}`.
 * Default `'int8'`.
 * @returns Plain data with a code for each weight. `packMatrix(codes, …)` of `@tfjs-peft/kernels` packs it
 * for a backend, `packData` for a file.
 * @throws ConfigError if an option is unknown or out of range, or a weight is not finite; ShapeError if
 * `weights` do not fill `shape`.
 * @example
 * ```ts
 * import {quantize} from '@tfjs-peft/quant';
 *
 * const packed = quantize([0.1, -0.2, 0.3, 0.4], [2, 2], {type: 'int4', group: 'channel'});
 * ```
 */
export function quantize(
  weights: ArrayLike<number>,
  shape: readonly [number, number],
  format: FormatSpec = 'int8',
  options: QuantizeOptions = {},
): PackedCodes {
  const {quantizer = 'nearest', calibration} = checkOptions('quantize', options, [
    'quantizer',
    'calibration',
  ]);
  const made = createQuantizer(quantizer);
  const into = createFormat(format);
  checkWeights('quantize', weights, shape);
  return toPacked(made.quantize({weights, shape, format: into, ...(calibration && {calibration})}));
}
