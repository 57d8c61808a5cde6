import type {Limits} from '../../data/tasks/task.js';
import type {Flags, Given} from '../../tools/command/flags.js';

export const BACKENDS = ['wasm', 'cpu', 'webgpu', 'webgl', 'node'] as const;
export type Backend = (typeof BACKENDS)[number];

/** What the main job and the images job are both told. */
export interface JobOptions {
  adapter: string;
  lr?: number;
  batch: number;
  backend: Backend;
  limits: Limits;
  seeds: number[];
  out: string;
  json?: string;
  quiet: boolean;
}

export const JOB_FLAGS = {
  tasks: {type: 'string'},
  adapter: {type: 'string'},
  lr: {type: 'string'},
  batch: {type: 'string'},
  backend: {type: 'string'},
  seed: {type: 'string'},
  seeds: {type: 'string'},
  'max-train': {type: 'string'},
  'max-validation': {type: 'string'},
  'max-test': {type: 'string'},
  out: {type: 'string'},
  json: {type: 'string'},
  quiet: {type: 'boolean'},
  help: {type: 'boolean', short: 'h'},
} as const satisfies Flags;

/** A line of the help: a flag, or several, and what it is. */
export type HelpRow = readonly [flags: string, text: string];

/** The help's lines of flags that both jobs have; what a job trains on is `items`, such as texts. */
export function jobHelp(
  items: string,
  {batch, limits, out}: Pick<JobOptions, 'batch' | 'limits' | 'out'>,
  adapters: readonly string[],
  written: string,
): Record<'adapter' | 'batch' | 'backend' | 'seed' | 'seeds' | 'limits' | 'out' | 'json' | 'quiet', HelpRow> {
  return {
    adapter: ['--adapter TYPE', `${adapters.join(', ')} (default molora)`],
    batch: ['--batch B', `${items} a step (default ${batch})`],
    backend: ['--backend NAME', `${BACKENDS.join(', ')} (default wasm)`],
    seed: ['--seed S', 'default 1'],
    seeds: ['--seeds A,B,C', 'a run for each seed, and their means'],
    limits: [
      '--max-train N, --max-validation N, --max-test N',
      `${items} a task (default ${limits.train}, ${limits.validation}, ${limits.test})`,
    ],
    out: ['--out DIR', `${written} (default ${out})`],
    json: ['--json FILE', 'writes the figures'],
    quiet: ['--quiet', 'no progress'],
  };
}

/** Flags of more letters do not push the column of texts to the right. */
const WIDEST = 21;

/** The help of a command. */
export function helpOf(command: string, does: string, rows: readonly HelpRow[]): string {
  const widths = rows.map(([flags]) => flags.length).filter((width) => width <= WIDEST);
  const column = Math.max(...widths);
  const lines = rows.map(([flags, text]) => `  ${flags.padEnd(column)}  ${text}`);
  return [`Usage: ${command} -- [options]`, '', does, '', ...lines].join('\n');
}

/**
 * The largest values that make sense: what is above them is a slip that would end in
 * hours, or in memory that there is not.
 */
export const MOST_RATE = 10;
const MOST_BATCH = 1024;

/**
 * The options that both jobs have.
 *
 * @param examples how many examples a split may have at most.
 * @param adapters what `--adapter` may be.
 * @throws InputError for a malformed value, naming its flag and what it takes.
 */
export function jobOptions(
  given: Given<typeof JOB_FLAGS>,
  {batch, limits, out}: Pick<JobOptions, 'batch' | 'limits' | 'out'>,
  examples: number,
  adapters: readonly string[],
): JobOptions {
  return {
    adapter: given.choice('adapter', adapters) ?? 'molora',
    lr: given.number('lr', {most: MOST_RATE}),
    batch: given.count('batch', MOST_BATCH) ?? batch,
    backend: given.choice('backend', BACKENDS) ?? 'wasm',
    limits: {
      train: given.count('max-train', examples) ?? limits.train,
      validation: given.count('max-validation', examples) ?? limits.validation,
      test: given.count('max-test', examples) ?? limits.test,
    },
    seeds: given.seeds('seed', 'seeds', [1]),
    out: given.text('out') ?? out,
    json: given.text('json'),
    quiet: given.has('quiet'),
  };
}
