import {ConfigError} from '../errors.js';

/** @throws ConfigError unless all indices are rows of a packed matrix with so many. */
export function checkRows(indices: ArrayLike<number>, rows: number): void {
  for (let i = 0; i < indices.length; i++) {
    const row = indices[i]!;
    if (row >= 0 && row < rows) continue;
    throw new ConfigError(
      `unpackRows: index ${row} is no row of the matrix. Use indices from 0 to ${rows - 1}.`,
    );
  }
}
