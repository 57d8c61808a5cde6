import {parseArgs} from 'node:util';
import {LIMITS} from '@tfjs-peft/routers';
import {BUILTIN_TASKS, DEFAULT_TASKS} from '../tasks/builtin.js';
import {InputError, type Limits} from '../tasks/task.js';
import {ADAPTERS, ROUTER_NAMES} from './adapter.js';
import {MODELS, type ModelName} from './encoder.js';

export const BACKENDS = ['wasm', 'cpu', 'webgpu', 'webgl', 'node'] as const;
export type Backend = (typeof BACKENDS)[number];

/** Everything that decides a run's result; a checkpoint carries it. */
export interface RunOptions {
  tasks: string[];
  tasksDir?: string;
  model: ModelName;
  adapter: string;
  experts?: number;
  rank?: number;
  router?: string;
  lr?: number;
  headLr: number;
  steps?: number;
  minutes?: number;
  batch: number;
  backend: Backend;
  limits: Limits;
  maxTokens: number;
  seeds: number[];
}

/** The option that each flag of a run sets. */
const SETS = {
  tasks: 'tasks',
  'tasks-dir': 'tasksDir',
  model: 'model',
  adapter: 'adapter',
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
export interface Options extends RunOptions {
  /** Options that the command line gave, as against defaults. */
  given: (keyof RunOptions)[];
  resume: boolean;
  out: string;
  json?: string;
  quiet: boolean;
}

export const HELP = `Usage: npm start -- [options]

Upgrades Universal Sentence Encoder lite in place, trains it on text tasks and compares it with a probe on the frozen encoder.

  --tasks a,b           built-in tasks: ${BUILTIN_TASKS.join(', ')} (default ${DEFAULT_TASKS.join(',')})
  --tasks-dir DIR       own tasks instead: DIR/<task>/{train,validation,test}.jsonl, lines {"text": "...", "label": "..."}
  --model NAME          the encoder: ${MODELS.join(', ')} (default use-lite)
  --adapter TYPE        ${ADAPTERS.join(', ')} (default molora)
  --experts E, --rank R the adapter's size (default: 4 experts, rank 4; mor1e: 4 x 8 experts of rank 1)
  --router NAME         of molora, mov and lime: ${ROUTER_NAMES.join(', ')} (default softmax, lime: zero)
  --lr X, --head-lr X   learning rates of adapters and of heads
  --steps N             training steps (default 400, fewer where those would not fit in 4.25 minutes)
  --minutes M           time for the whole run, which sets the steps
  --batch B             texts a step (default 32)
  --backend NAME        wasm, cpu, webgpu, webgl, node (default wasm)
  --seed S              default 1
  --seeds A,B,C         a run for each seed, and their means
  --max-train N, --max-validation N, --max-test N   texts a task (default 1500, 300, 500)
  --max-tokens N        tokens a text (default 32)
  --resume              goes on from the checkpoint in the out folder
  --out DIR             adapter, heads, predictions, checkpoint (default out)
  --json FILE           writes the figures
  --quiet               no progress`;

const FLAGS = {
  tasks: {type: 'string'},
  'tasks-dir': {type: 'string'},
  model: {type: 'string'},
  adapter: {type: 'string'},
  experts: {type: 'string'},
  rank: {type: 'string'},
  router: {type: 'string'},
  lr: {type: 'string'},
  'head-lr': {type: 'string'},
  steps: {type: 'string'},
  minutes: {type: 'string'},
  batch: {type: 'string'},
  backend: {type: 'string'},
  seed: {type: 'string'},
  seeds: {type: 'string'},
  'max-train': {type: 'string'},
  'max-validation': {type: 'string'},
  'max-test': {type: 'string'},
  'max-tokens': {type: 'string'},
  resume: {type: 'boolean'},
  out: {type: 'string'},
  json: {type: 'string'},
  quiet: {type: 'boolean'},
  help: {type: 'boolean', short: 'h'},
} as const;

type Flag = keyof typeof FLAGS;
type Values = Partial<Record<Flag, string | boolean>>;

function parse(argv: string[]): Values {
  const {values, tokens} = parseArgs({args: argv, options: FLAGS, strict: false, tokens: true});
  const seen = new Set<string>();
  for (const token of tokens) {
    if (token.kind === 'positional') throw new InputError(`"${token.value}": no such argument; see --help`);
    if (token.kind !== 'option') continue;
    if (!Object.hasOwn(FLAGS, token.name))
      throw new InputError(`${token.rawName}: no such option; see --help`);
    if (seen.has(token.name)) throw new InputError(`${token.rawName}: given twice; give it once`);
    seen.add(token.name);
    const wanted = FLAGS[token.name as Flag].type;
    if (wanted === 'boolean' && token.value !== undefined) {
      throw new InputError(`${token.rawName}: takes no value`);
    }
    if (wanted === 'string' && (token.value === undefined || token.value === '')) {
      throw new InputError(`${token.rawName}: needs a value; see --help`);
    }
    if (wanted === 'string' && !token.inlineValue && token.value!.startsWith('--')) {
      throw new InputError(`${token.rawName}: needs a value before ${token.value}; see --help`);
    }
  }
  return values as Values;
}

/**
 * Options of a command line.
 *
 * @returns undefined when help was asked for.
 * @throws InputError for an unknown, repeated or malformed flag, naming it and what it takes.
 */
export function parseOptions(argv: string[]): Options | undefined {
  const values = parse(argv);
  if (values.help === true) return undefined;
  const text = (flag: Flag) => values[flag] as string | undefined;
  const list = (flag: Flag) =>
    text(flag)
      ?.split(',')
      .map((item) => item.trim());
  const number = (
    flag: Flag,
    {above, integer, most = Number.POSITIVE_INFINITY}: {above: number; integer: boolean; most?: number},
  ): number | undefined => {
    const given = text(flag);
    if (given === undefined) return undefined;
    const value = given.trim() === '' ? Number.NaN : Number(given);
    if (!Number.isFinite(value) || value <= above || (integer && !Number.isInteger(value))) {
      const kind = integer ? 'a whole number' : 'a number';
      throw new InputError(`--${flag}: "${given}" is not ${kind} above ${above}`);
    }
    if (value > most)
      throw new InputError(`--${flag}: "${given}" is more than ${most}, the most there can be`);
    return value;
  };
  const size = (flag: Flag) => number(flag, {above: 0, integer: true, most: LIMITS.count});
  const count = (flag: Flag) => number(flag, {above: 0, integer: true});
  const positive = (flag: Flag) => number(flag, {above: 0, integer: false});
  const choice = <T extends string>(flag: Flag, choices: readonly T[], fallback: T): T => {
    const given = text(flag) ?? fallback;
    if (!choices.includes(given as T)) {
      throw new InputError(`--${flag}: no "${given}"; choose from ${choices.join(', ')}`);
    }
    return given as T;
  };
  if (values.tasks !== undefined && values['tasks-dir'] !== undefined) {
    throw new InputError('--tasks and --tasks-dir: give one of them');
  }
  if (values.seed !== undefined && values.seeds !== undefined) {
    throw new InputError('--seed and --seeds: give one of them');
  }
  const seeds = (list('seeds') ?? [text('seed') ?? '1']).map((seed) => {
    if (!/^\d{1,9}$/.test(seed)) {
      throw new InputError(
        `--seed${values.seeds === undefined ? '' : 's'}: "${seed}" is not a whole number from 0`,
      );
    }
    return Number(seed);
  });
  if (new Set(seeds).size < seeds.length)
    throw new InputError('--seeds: a seed is given twice; give each once');
  return {
    tasks: list('tasks') ?? DEFAULT_TASKS,
    tasksDir: text('tasks-dir'),
    model: choice('model', MODELS, 'use-lite'),
    adapter: text('adapter') ?? 'molora',
    experts: size('experts'),
    rank: size('rank'),
    router: text('router'),
    lr: positive('lr'),
    headLr: positive('head-lr') ?? 3e-4,
    steps: count('steps'),
    minutes: positive('minutes'),
    batch: count('batch') ?? 32,
    backend: choice('backend', BACKENDS, 'wasm'),
    limits: {
      train: count('max-train') ?? 1500,
      validation: count('max-validation') ?? 300,
      test: count('max-test') ?? 500,
    },
    maxTokens: count('max-tokens') ?? 32,
    seeds,
    given: [
      ...new Set(
        Object.keys(SETS).flatMap((flag) => (flag in values ? [SETS[flag as keyof typeof SETS]] : [])),
      ),
    ],
    resume: values.resume === true,
    out: text('out') ?? 'out',
    json: text('json'),
    quiet: values.quiet === true,
  };
}
