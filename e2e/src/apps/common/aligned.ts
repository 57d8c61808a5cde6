/** A share as a number of per cent, with one digit behind the point. */
export const percent = (share: number) => (100 * share).toFixed(1);

/** Rows of cells as lines: the first column is aligned to the left, the others to the right. */
export function aligned(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  '),
  );
}
