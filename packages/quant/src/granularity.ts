import {ConfigError, describe} from '@tfjs-peft/kernels';

/**
 * Which weights share one scale and zero point: the whole matrix, one output channel (a column of [dIn,
 * dOut]), or `group` consecutive rows of one column.
 */
export type Granularity = 'tensor' | 'channel' | {group: number};

/**
 * How the weights [rows, columns] fall into units: unit (⌊row / rowsPerUnit⌋,
 * column or 0), row-major over `shape`.
 */
export interface Units {
  /** Shape of the scale and zero tensors: [1, 1], [1, dOut] or [⌈dIn / group⌉, dOut]. */
  shape: [number, number];
  rowsPerUnit: number;
  columnsPerUnit: number;
}

/** @throws ConfigError for anything but 'tensor', 'channel' or {group: a positive integer}. */
export function unitsOf([rows, columns]: readonly [number, number], granularity: Granularity): Units {
  if (granularity === 'tensor') return {shape: [1, 1], rowsPerUnit: rows, columnsPerUnit: columns};
  if (granularity === 'channel') return {shape: [1, columns], rowsPerUnit: rows, columnsPerUnit: 1};
  const group = granularity?.group;
  if (!Number.isInteger(group) || group < 1) {
    throw new ConfigError(
      `quantize: granularity is ${describe(granularity)}, but must be 'tensor', 'channel' or {group: n} with n of at least 1.`,
    );
  }
  return {shape: [Math.ceil(rows / group), columns], rowsPerUnit: group, columnsPerUnit: 1};
}

/** The unit of the weight at (row, column), as an index into the scales. */
export function unitAt(units: Units, row: number, column: number): number {
  return Math.floor(row / units.rowsPerUnit) * units.shape[1] + (units.columnsPerUnit === 1 ? column : 0);
}
