import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import {packBits} from './bits.js';
import {type Granularity, type Units, unitAt, unitsOf} from './granularity.js';
import {encode, type GridOptions, minMaxGrid, type ZeroPoint} from './min-max.js';
import type {PackedWeight} from './packed-weight.js';
import {ROUNDINGS, type Rounding} from './rounding.js';

export interface QuantizeOptions {
  /** Width of a code, 2 to 8. Default 8. */
  bits?: number;
  /** A grid around zero that needs no zero point, at the price of one code. Default false. */
  symmetric?: boolean;
  /** Which weights share a scale. Default 'channel'. */
  granularity?: Granularity;
  /** Default 'half-even'. `floor` (the paper's brackets) is not defined for symmetric grids. */
  rounding?: Rounding;
  /** What happens to units whose weights are all on one side of zero. Default 'include-zero'. */
  zeroPoint?: ZeroPoint;
}

const OPTIONS = ['bits', 'symmetric', 'granularity', 'rounding', 'zeroPoint'];
const ZERO_POINTS = ['include-zero', 'paper', 'free'];

function checked(options: QuantizeOptions): GridOptions & {granularity: Granularity} {
  const unknown = Object.keys(options).find((key) => !OPTIONS.includes(key));
  if (unknown) throw new ConfigError(`unknown option ${unknown}; known are ${OPTIONS.join(', ')}`);
  const {
    bits = 8,
    symmetric = false,
    granularity = 'channel',
    rounding = 'half-even',
    zeroPoint = 'include-zero',
  } = options;
  if (!Number.isInteger(bits) || bits < 2 || bits > 8) {
    throw new ConfigError(`bits is ${bits}; give a whole number from 2 to 8`);
  }
  if (typeof symmetric !== 'boolean') throw new ConfigError(`symmetric is ${symmetric}; give true or false`);
  if (!Object.hasOwn(ROUNDINGS, rounding)) {
    throw new ConfigError(`rounding is ${rounding}; give one of ${Object.keys(ROUNDINGS).join(', ')}`);
  }
  if (!ZERO_POINTS.includes(zeroPoint)) {
    throw new ConfigError(`zeroPoint is ${zeroPoint}; give one of ${ZERO_POINTS.join(', ')}`);
  }
  if (symmetric && rounding === 'floor') {
    throw new ConfigError(
      `rounding 'floor' has no symmetric form: the largest weight sits on a boundary; use 'half-even'`,
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
    throw new ShapeError(`${values.length} values do not fill a matrix of shape [${rows}, ${columns}]`);
  }
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) {
      throw new ConfigError(
        `weight (${Math.floor(i / columns)}, ${i % columns}) is ${values[i]}: only finite weights have a code; repair the weights first`,
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
 * Affine min-max quantisation of a matrix (MP-ISMoE, AAAI-26, eqs 1 and 2).
 *
 * @param values the weights, row-major [dIn · dOut], float32 or plain numbers.
 * @param shape [dIn, dOut], as of a Dense kernel.
 * @throws ConfigError for an unknown or impossible option and for a weight that is not finite; ShapeError where `values` do not
 * fill `shape`.
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
