import type {Limits} from '../data/tasks/task.js';
import type {Flags, Given} from '../tools/command/flags.js';
import {ADAPTERS} from './main/adapter.js';

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
 * @throws InputError for a malformed value, naming its flag and what it takes.
 */
export function jobOptions(
  given: Given<typeof JOB_FLAGS>,
  {batch, limits, out}: Pick<JobOptions, 'batch' | 'limits' | 'out'>,
  examples: number,
): JobOptions {
  return {
    adapter: given.choice('adapter', ADAPTERS) ?? 'molora',
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
