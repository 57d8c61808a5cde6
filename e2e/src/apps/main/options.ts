import {LIMITS} from '@tfjs-peft/routers';
import {InputError, quoted} from '../../data/input-error.js';
import {BUILTIN_TASKS, DEFAULT_TASKS} from '../../data/tasks/builtin.js';
import {type Flags, parseFlags} from '../../tools/command/flags.js';
import {FORMATS} from '../../tools/formats.js';
import {MIXTURES, ROUTER_NAMES} from '../common/adapter.js';
import {helpOf, JOB_FLAGS, type JobOptions, jobHelp, jobOptions, MOST_RATE} from '../common/options.js';
import {ADDITIONS, type AdditionOptions, checkAddition} from './addition.js';
import {MODELS, type ModelName} from './encoders/load.js';

/** Everything that decides a run's result; a checkpoint carries it. */
export interface RunOptions extends AdditionOptions, Omit<JobOptions, 'out' | 'json' | 'quiet'> {
  tasks: string[];
  tasksDir?: string;
  model: ModelName;
  headLr: number;
  steps?: number;
  minutes?: number;
  maxTokens: number;
}

/** The option that each flag of a run sets. */
const SETS = {
  tasks: 'tasks',
  'tasks-dir': 'tasksDir',
  model: 'model',
  adapter: 'adapter',
  format: 'format',
  experts: 'experts',
  rank: 'rank',
  router: 'router',
  lr: 'lr',
  'head-lr': 'headLr',
  steps: 'steps',
  minutes: 'minutes',
  batch: 'batch',
  backend: 'backend',
  seed: 'seeds',
  seeds: 'seeds',
  'max-train': 'limits',
  'max-validation': 'limits',
  'max-test': 'limits',
  'max-tokens': 'maxTokens',
} as const satisfies Record<string, keyof RunOptions>;

export const RUN_OPTIONS: readonly (keyof RunOptions)[] = [...new Set(Object.values(SETS))];

/** What the run leaves behind and says; may differ when a run is resumed. */
export interface Options extends RunOptions, Pick<JobOptions, 'out' | 'json' | 'quiet'> {
  /** Options that the command line gave, as against defaults. */
  given: (keyof RunOptions)[];
  resume: boolean;
}

const DEFAULTS = {batch: 32, limits: {train: 1500, validation: 300, test: 500}, out: 'out'};

const JOB = jobHelp('texts', DEFAULTS, ADDITIONS, 'adapter, heads, predictions, checkpoint');

export const HELP = helpOf(
  'npm start',
  'Upgrades Universal Sentence Encoder lite in place, trains it on text tasks and compares it with a probe on the frozen encoder.',
  [
    ['--tasks a,b', `built-in tasks: ${BUILTIN_TASKS.join(', ')} (default ${DEFAULT_TASKS.join(',')})`],
    [
      '--tasks-dir DIR',
      'own tasks instead: DIR/<task>/{train,validation,test}.jsonl, lines {"text": "...", "label": "..."}',
    ],
    ['--model NAME', `the encoder: ${MODELS.join(', ')} (default use-lite)`],
    JOB.adapter,
    [
      '--experts E, --rank R',
      "the adapter's size (default: 4 experts, rank 4; mor1e: 4 x 8 experts of rank 1)",
    ],
    ['--router NAME', `of ${MIXTURES.join(', ')}: ${ROUTER_NAMES.join(', ')} (default softmax, lime: zero)`],
    ['--format NAME', `quantises the base (mp-ismoe: int4 unless given): ${FORMATS.join(', ')}`],
    ['--lr X, --head-lr X', 'learning rates of adapters and of heads'],
    ['--steps N', 'training steps (default 400, fewer where those would not fit in 4.25 minutes)'],
    ['--minutes M', 'time for the whole run, which sets the steps'],
    JOB.batch,
    JOB.backend,
    JOB.seed,
    JOB.seeds,
    JOB.limits,
    ['--max-tokens N', 'tokens a text (default 32)'],
    ['--resume', 'goes on from the checkpoint in the out folder'],
    JOB.out,
    JOB.json,
    JOB.quiet,
  ],
);

const FLAGS = {
  ...JOB_FLAGS,
  'tasks-dir': {type: 'string'},
  model: {type: 'string'},
  experts: {type: 'string'},
  rank: {type: 'string'},
  router: {type: 'string'},
  format: {type: 'string'},
  'head-lr': {type: 'string'},
  steps: {type: 'string'},
  minutes: {type: 'string'},
  'max-tokens': {type: 'string'},
  resume: {type: 'boolean'},
} as const satisfies Flags;

/** The largest values that make sense. */
const MOST = {
  experts: LIMITS.count,
  rank: LIMITS.count,
  steps: 1e6,
  minutes: 1e5,
  texts: 1e7,
  tokens: 1024,
};

/**
 * Options of a command line.
 *
 * @returns undefined when help was asked for.
 * @throws InputError for an unknown, repeated or malformed flag, naming it and what it takes.
 */
export function parseOptions(argv: string[]): Options | undefined {
  const given = parseFlags(argv, FLAGS);
  if (given.has('help')) return undefined;
  if (given.has('tasks') && given.has('tasks-dir')) {
    throw new InputError('--tasks and --tasks-dir: give one of them');
  }
  const options: Options = {
    tasks: given.list('tasks') ?? DEFAULT_TASKS,
    tasksDir: given.text('tasks-dir'),
    model: given.choice('model', MODELS) ?? 'use-lite',
    experts: given.count('experts', MOST.experts),
    rank: given.count('rank', MOST.rank),
    router: given.choice('router', ROUTER_NAMES),
    format: given.choice('format', FORMATS),
    headLr: given.number('head-lr', {most: MOST_RATE}) ?? 3e-4,
    steps: given.count('steps', MOST.steps),
    minutes: given.number('minutes', {most: MOST.minutes}),
    maxTokens: given.count('max-tokens', MOST.tokens) ?? 32,
    ...jobOptions(given, DEFAULTS, MOST.texts, ADDITIONS),
    given: [
      ...new Set(
        (Object.keys(SETS) as (keyof typeof SETS)[]).flatMap((flag) => (given.has(flag) ? [SETS[flag]] : [])),
      ),
    ],
    resume: given.has('resume'),
  };
  checkAddition(options);
  return options;
}

/** What every stored run has; the rest is there if it was given. */
const ALWAYS = [
  'tasks',
  'model',
  'adapter',
  'headLr',
  'batch',
  'backend',
  'limits',
  'maxTokens',
  'seeds',
] as const;

/**
 * The options of a stored run, read as if its command line were given again: nothing of a file is believed.
 *
 * @throws InputError that names the file and what is missing or wrong in it.
 */
export function storedOptions(stored: unknown, path: string): RunOptions {
  const refuse = (why: string): never => {
    throw new InputError(`${path}: ${why}; start without --resume`);
  };
  if (typeof stored !== 'object' || stored === null || Array.isArray(stored)) {
    return refuse(`${quoted(stored)} is not a run's options`);
  }
  const run = stored as Partial<Record<string, unknown>>;
  const missing = ALWAYS.filter((key) => run[key] === undefined);
  if (missing.length > 0) return refuse(`${missing.join(', ')} missing, so it is not a run's options`);
  const limits = Object(run.limits) as Partial<Record<string, unknown>>;
  const values: Partial<Record<string, unknown>> = {
    ...Object.fromEntries(Object.entries(SETS).map(([flag, key]) => [flag, run[key]])),
    // Built-in tasks are those of a run without a folder.
    tasks: run.tasksDir === undefined ? run.tasks : undefined,
    seed: undefined,
    'max-train': limits.train,
    'max-validation': limits.validation,
    'max-test': limits.test,
  };
  const argv = Object.entries(values).flatMap(([flag, value]) =>
    value === undefined ? [] : [`--${flag}=${Array.isArray(value) ? value.join(',') : value}`],
  );
  try {
    const options = parseOptions(argv)!;
    return Object.fromEntries(RUN_OPTIONS.map((key) => [key, options[key]])) as unknown as RunOptions;
  } catch (error) {
    return refuse((error as Error).message);
  }
}
