import {ConfigError, describe} from '@tfjs-peft/kernels';

/**
 * Which weights share one scale and zero point: the whole matrix, one output channel (a column of [dIn,
 * dOut]), or `group` consecutive rows of one column.
 */
export type Granularity = 'tensor' | 'channel' | {group: number};

/**
 * How weights [rows, columns] are divided into units: unit (⌊row / rowsPerUnit⌋, column or 0), row-major over
 * `shape`.
 */
export interface Units {
  /** Shape of the scale and zero tensors: [1, 1], [1, dOut] or [⌈dIn / group⌉, dOut]. */
  shape: [number, number];
  rowsPerUnit: number;
  columnsPerUnit: number;
}

/**
 * The units of a matrix [rows, columns]: groups of weights that share one scale and zero point.
 *
 * @throws ConfigError unless `granularity` is 'tensor', 'channel' or {group: n} with n of at least 1.
 * @example
 * ```ts
 * import {unitsOf} from '@tfjs-peft/quant';
 *
 * const {shape} = unitsOf([64, 32], {group: 16}); // [4, 32]
 * ```
 */
export function unitsOf([rows, columns]: readonly [number, number], granularity: Granularity): Units {
  if (granularity === 'tensor') return {shape: [1, 1], rowsPerUnit: rows, columnsPerUnit: columns};
  if (granularity === 'channel') return {shape: [1, columns], rowsPerUnit: rows, columnsPerUnit: 1};
  const group = granularity?.group;
  if (!Number.isInteger(group) || group < 1) {
    throw new ConfigError(
      `quantize: granularity is ${describe(granularity)}. ` +
        "Set granularity to 'tensor', 'channel' or {group: n} with n of at least 1.",
    );
  }
  return {shape: [Math.ceil(rows / group), columns], rowsPerUnit: group, columnsPerUnit: 1};
}

/**
 * The unit of the weight at (row, column), as an index into the scales.
 *
 * @example
 * ```ts
 * import {unitAt, unitsOf} from '@tfjs-peft/quant';
 *
 * const unit = unitAt(unitsOf([64, 32], {group: 16}), 20, 3); // 1 · 32 + 3
 * ```
 */
export function unitAt(units: Units, row: number, column: number): number {
  return Math.floor(row / units.rowsPerUnit) * units.shape[1] + (units.columnsPerUnit === 1 ? column : 0);
}
