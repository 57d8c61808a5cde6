import {
  ConfigError,
  checkBoolean,
  checkChoice,
  checkInteger,
  checkOptions,
  describe,
  ShapeError,
} from '@tfjs-peft/kernels';
import {packBits} from './bits.js';
import {type Granularity, type Units, unitAt, unitsOf} from './granularity.js';
import {encode, type GridOptions, minMaxGrid, type ZeroPoint} from './min-max.js';
import type {PackedWeight} from './packed-weight.js';
import {ROUNDINGS, type Rounding} from './rounding.js';

/** Options of {@link quantize}. */
export interface QuantizeOptions {
  /** Width of a code, 2 to 8. Default 8. */
  bits?: number;
  /** Use a grid around zero. It needs no zero point, but leaves one code unused. Default false. */
  symmetric?: boolean;
  /** Which weights share a scale. Default 'channel'. */
  granularity?: Granularity;
  /** Default 'half-even'. `floor` (the paper's brackets) is not defined for symmetric grids. */
  rounding?: Rounding;
  /** Zero point of units whose weights all have the same sign. Default 'include-zero'. */
  zeroPoint?: ZeroPoint;
}

const OPTIONS = ['bits', 'symmetric', 'granularity', 'rounding', 'zeroPoint'];
const ZERO_POINTS = ['include-zero', 'paper', 'free'] as const;

function checked(options: QuantizeOptions): GridOptions & {granularity: Granularity} {
  const what = 'quantize';
  const given = checkOptions(what, options, OPTIONS);
  const {granularity = 'channel'} = given;
  const bits = checkInteger(what, 'bits', given.bits, {min: 2, max: 8, fallback: 8});
  const symmetric = checkBoolean(what, 'symmetric', given.symmetric, false);
  const rounding = checkChoice(what, 'rounding', given.rounding, Object.keys(ROUNDINGS) as Rounding[]);
  const zeroPoint = checkChoice(what, 'zeroPoint', given.zeroPoint, ZERO_POINTS);
  if (symmetric && rounding === 'floor') {
    throw new ConfigError(
      `${what}: rounding 'floor' is not defined for symmetric grids, whose largest weight is on a ` +
        'boundary. ' +
        "Set rounding: 'half-even'.",
    );
  }
  return {bits, symmetric, granularity, rounding, zeroPoint};
}

function checkValues(values: ArrayLike<number>, [rows, columns]: readonly [number, number]): void {
  if (
    !Number.isInteger(rows) ||
    !Number.isInteger(columns) ||
    rows < 1 ||
    columns < 1 ||
    values.length !== rows * columns
  ) {
    throw new ShapeError(
      `quantize: ${values.length} values do not fill a matrix of shape [${rows}, ${columns}]. ` +
        'Pass rows · columns values.',
    );
  }
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) {
      throw new ConfigError(
        `quantize: weight (${Math.floor(i / columns)}, ${i % columns}) is ${describe(values[i])}, ` +
          'but only finite weights have a code. Repair the weights first.',
      );
    }
  }
}

function unitRanges(values: ArrayLike<number>, [rows, columns]: readonly [number, number], units: Units) {
  const count = units.shape[0] * units.shape[1];
  const low = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
  const high = new Float64Array(count).fill(Number.NEGATIVE_INFINITY);
  for (let i = 0, at = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++, at++) {
      const unit = unitAt(units, i, j);
      low[unit] = Math.min(low[unit]!, values[at]!);
      high[unit] = Math.max(high[unit]!, values[at]!);
    }
  }
  return {low, high};
}

/**
 * Quantises a matrix by an affine min-max grid (MP-ISMoE, AAAI-26, eqs 1 and 2).
 *
 * @param values The weights, row-major [dIn · dOut], float32 or plain numbers.
 * @param shape [dIn, dOut], as of a Dense kernel.
 * @throws ConfigError if an option is unknown or out of range, or a weight is not finite; ShapeError if
 * `values` do not fill `shape`.
 * @example
 * ```ts
 * import {quantize} from '@tfjs-peft/quant';
 *
 * const packed = quantize([0.1, -0.2, 0.3, 0.4], [2, 2], {bits: 4, granularity: 'channel'});
 * ```
 */
export function quantize(
  values: ArrayLike<number>,
  shape: readonly [number, number],
  options: QuantizeOptions = {},
): PackedWeight {
  const {granularity, ...grid} = checked(options);
  checkValues(values, shape);
  const units = unitsOf(shape, granularity);
  const {low, high} = unitRanges(values, shape, units);
  const grids = Array.from(low, (from, unit) => minMaxGrid(from, high[unit]!, grid));
  const [rows, columns] = shape;
  const codes = new Uint8Array(values.length);
  for (let i = 0, at = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++, at++)
      codes[at] = encode(values[at]!, grids[unitAt(units, i, j)]!, grid);
  }
  return {
    shape: [rows, columns],
    bits: grid.bits,
    group: granularity,
    scale: Float32Array.from(grids, ({scale}) => scale),
    zero: Int32Array.from(grids, ({zero}) => zero),
    data: packBits(codes, grid.bits),
  };
}
