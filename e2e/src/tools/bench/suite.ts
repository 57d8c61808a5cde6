import type {UseLiteWeights} from '../../data/models/use-lite-weights.js';
import type {Limits} from '../../data/tasks/task.js';
import type {Rounds} from './measure.js';
import type {Row} from './report.js';
import type {Sentences} from './suites/sentences.js';

export interface SuiteOptions extends Partial<Rounds> {
  backend: string;
  /** Threads of the wasm backend, in Node. Default 1. */
  threads?: number | undefined;
  /** Which cases to run. Default all. */
  cases?: RegExp | undefined;
  /** Called as each row is measured. */
  onRow?: (row: Row) => void;
  /** Rows and columns of the input, where the suite lets one choose. */
  size?: [rows: number, width: number] | undefined;
  /**
   * The weights of the model suite's model. Default: read from the package that has them, which a page
   * cannot.
   */
  useLite?: UseLiteWeights;
  /** Texts of the quant suite, as tokens. Default: read from the packages that have them. */
  sentences?: Sentences | undefined;
  /** Whether the quant suite measures what quantisers do to real tasks. */
  tasks?: boolean;
  /** For these: seeds, texts of a task, tries of quantisers that search. Default: those of our figures. */
  seeds?: number[];
  limits?: Limits;
  tries?: number;
}

/** Measures every case that is asked for, on the current backend. */
export type Suite = (options: SuiteOptions) => Promise<Row[]>;

export const isGpu = (backend: string): boolean => backend.startsWith('web');

/**
 * Rounds that keep a suite under five minutes on two cores: plain JavaScript is slow,
 * and so is a GPU that a CPU plays.
 */
export function roundsOf({backend, rounds, warmup}: SuiteOptions): Rounds {
  const slow = backend === 'cpu' || isGpu(backend);
  return {rounds: rounds ?? (slow ? 3 : 21), warmup: warmup ?? (slow ? 1 : 3)};
}
