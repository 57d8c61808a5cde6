/** The rows that chose each expert, grouped by expert. */
export interface ExpertGroups {
  /** Where each expert's rows start in `rows`, and after the last expert the end: E + 1 numbers. */
  starts: Int32Array;
  /** Row numbers, ascending within an expert. */
  rows: Int32Array;
  /** The most rows of any expert. */
  largest: number;
}

/** Groups rows by expert: a row chose each expert whose gate, in `gates` [rows, experts], is not zero. */
export function groupByExpert(gates: Float32Array, experts: number): ExpertGroups {
  const starts = new Int32Array(experts + 1);
  for (let i = 0, e = 0; i < gates.length; i++) {
    if (gates[i] !== 0) starts[e + 1]!++;
    if (++e === experts) e = 0;
  }
  let largest = 0;
  for (let e = 0; e < experts; e++) {
    largest = Math.max(largest, starts[e + 1]!);
    starts[e + 1]! += starts[e]!;
  }
  const rows = new Int32Array(starts[experts]!);
  const next = starts.slice();
  for (let i = 0, e = 0, row = 0; i < gates.length; i++) {
    if (gates[i] !== 0) rows[next[e]!++] = row;
    if (++e === experts) {
      e = 0;
      row++;
    }
  }
  return {starts, rows, largest};
}
