import type {Rounds} from './measure.js';
import type {Row} from './report.js';

export interface SuiteOptions extends Partial<Rounds> {
  backend: string;
  /** Which cases to run. Default all. */
  cases?: RegExp;
  /** Called as each row is measured. */
  onRow?: (row: Row) => void;
}

/** Measures every case that is asked for, on the current backend. */
export type Suite = (options: SuiteOptions) => Promise<Row[]>;

/** Rounds that keep a suite under five minutes on two cores; the plain-JavaScript backend is a hundred times slower. */
export function roundsOf({backend, rounds, warmup}: SuiteOptions): Rounds {
  const slow = backend === 'cpu';
  return {rounds: rounds ?? (slow ? 3 : 21), warmup: warmup ?? (slow ? 1 : 3)};
}
