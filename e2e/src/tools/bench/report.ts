import pc from 'picocolors';

export interface Row {
  case: string;
  metric: string;
  ours: number;
  baseline: number;
  baselineName: string;
  unit: string;
  /** How many rounds the medians are of; absent where nothing was timed. */
  rounds?: number;
  /** ours / baseline in the row's unit. */
  ratio: number;
}

export interface BenchReport {
  suite: string;
  backend: string;
  machine: {cpu: string; cores: number; node: string; gpu?: string};
  /** The fewest of any row. */
  rounds: number;
  rows: Row[];
}

/** The fewest rounds that any of the rows is a median of. */
export function fewestRounds(rows: Row[]): number {
  const rounds = rows.flatMap(({rounds}) => rounds ?? []);
  return rounds.length > 0 ? Math.min(...rounds) : 0;
}

export function row(fields: Omit<Row, 'ratio'>): Row {
  return {...fields, ratio: fields.ours / fields.baseline};
}

/** Units of numbers that differ in late digits, and mean themselves. */
const FINE = ['cosine', 'error', 'loss', 'accuracy'];

function figure(value: number, unit: string): string {
  if (unit === 'bytes') return `${(value / 2 ** 20).toFixed(2)} MB`;
  if (unit === 'calls' || unit === 'parameters') return `${value} ${unit}`;
  if (FINE.includes(unit)) return value.toPrecision(5);
  return `${value.toFixed(value < 10 ? 2 : 1)} ${unit}`;
}

const COLUMNS: [string, (row: Row) => string][] = [
  ['case', (row) => row.case],
  ['metric', (row) => row.metric],
  ['ours', (row) => figure(row.ours, row.unit)],
  ['baseline', (row) => figure(row.baseline, row.unit)],
  ['ratio', (row) => row.ratio.toFixed(3)],
  ['against', (row) => row.baselineName],
];

export function table(report: BenchReport): string {
  const cells = [
    COLUMNS.map(([title]) => title),
    ...report.rows.map((row) => COLUMNS.map(([, text]) => text(row))),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)));
  const lines = cells.map((line) =>
    line
      .map((text, column) => text.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  const {cpu, cores, node, gpu} = report.machine;
  return [
    `${report.suite} on ${report.backend}${gpu === undefined ? '' : ` (${gpu})`}: ${cpu}, ${cores} cores, Node ${node}; medians of ${report.rounds} or more interleaved rounds`,
    pc.bold(lines[0]!),
    ...lines.slice(1),
  ].join('\n');
}
