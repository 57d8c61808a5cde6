import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {InputError, quoted, reasonOf} from '../../data/input-error.js';
import {type NamedArray, readArrays, writeArrays} from '../common/files.js';
import type {ParameterState, Parameters} from '../common/parameters.js';
import type {Score} from '../common/selection.js';

/** Where training is, beside the parameters themselves. */
export interface Position {
  /** Steps done. */
  step: number;
  /** The last step that validation has seen. */
  validated: number;
  /** Whether validation has seen the way between start and end. */
  blended: boolean;
  start: Score;
  best: Score;
  /** Training loss of every step so far. */
  losses: number[];
  trainingSeconds: number;
}

/** What the probes found, so that a resumed run need not repeat them. */
export interface ProbeFigures {
  task: string;
  l2: number;
  validation: number;
  test: number;
}

/** The part of a checkpoint that is not arrays. */
export interface Progression {
  steps: number;
  position: Position;
  probes: ProbeFigures[];
  /** Wall time of the run before it was interrupted. */
  seconds: number;
}

const VERSION = 1;

interface About extends Progression {
  version: typeof VERSION;
  updates: Record<string, number>;
}

/** What there is of each parameter. */
const KINDS = ['values', 'first', 'second', 'start', 'best'] as const;

/** A checkpoint as it was read: whole in itself; {@link restored} says whether it fits a run. */
export interface Checkpoint extends Progression {
  path: string;
  updates: About['updates'];
  arrays: Record<(typeof KINDS)[number], Map<string, NamedArray>>;
}

export const checkpointPath = (folder: string) => join(folder, 'checkpoint.safetensors');

/**
 * Writes adapters, heads, moments, the best values so far and the position: one file, replaced as a whole.
 */
export function writeCheckpoint(
  folder: string,
  parameters: Parameters,
  {start, best}: Record<'start' | 'best', ReadonlyMap<string, Float32Array>>,
  progression: Progression,
): void {
  const shapes = parameters.shapes();
  const arrays = new Map<string, NamedArray>();
  const updates: Record<string, number> = {};
  for (const [name, state] of parameters.states()) {
    const shape = shapes.get(name)!;
    arrays.set(`values/${name}`, {shape, values: state.values});
    arrays.set(`first/${name}`, {shape, values: state.first});
    arrays.set(`second/${name}`, {shape, values: state.second});
    arrays.set(`start/${name}`, {shape, values: start.get(name)!});
    arrays.set(`best/${name}`, {shape, values: best.get(name)!});
    updates[name] = state.updates;
  }
  const about: About = {version: VERSION, ...progression, updates};
  writeArrays(checkpointPath(folder), arrays, about);
}

const isWhole = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;
const isNumber = (value: unknown): value is number => Number.isFinite(value);
const areAll = (values: unknown, is: (value: unknown) => boolean): boolean =>
  Array.isArray(values) && values.every(is);

function isScore(value: unknown, most: number, tasks: number): value is Score {
  const {step, accuracies} = Object(value) as Partial<Score>;
  return isWhole(step) && step <= most && areAll(accuracies, isNumber) && accuracies!.length === tasks;
}

/** What is wrong with the part that is not arrays; undefined where nothing is. */
function faultOf({steps, position, probes, seconds, updates}: Partial<About>): string | undefined {
  if (!isWhole(steps)) return 'its number of steps is none';
  if (!isNumber(seconds) || seconds < 0) return 'its time is none';
  const tasks = areAll(probes, (probe) => {
    const {task, l2, validation, test} = Object(probe) as Partial<ProbeFigures>;
    return typeof task === 'string' && [l2, validation, test].every(isNumber);
  });
  if (!tasks) return 'its probes are none';
  const {step, validated, blended, start, best, losses, trainingSeconds} = Object(
    position,
  ) as Partial<Position>;
  if (!isWhole(step) || step > steps) return `its step ${step} is none of its ${steps}`;
  if (!isWhole(validated) || validated > step || typeof blended !== 'boolean') return 'its position is none';
  if (!isNumber(trainingSeconds) || trainingSeconds < 0) return 'its time is none';
  if (!areAll(losses, isNumber) || losses!.length !== step) return `it has not ${step} losses`;
  if (![start, best].every((score) => isScore(score, step, probes!.length))) return 'its scores are none';
  const counts = Object.values(Object(updates) as object);
  return areAll(counts, isWhole) ? undefined : 'its counts of updates are none';
}

/** The arrays, by kind and parameter. */
function arraysOf(arrays: Map<string, NamedArray>, updates: About['updates']): Checkpoint['arrays'] {
  const kinds = {} as Checkpoint['arrays'];
  for (const kind of KINDS) {
    kinds[kind] = new Map();
    for (const name of Object.keys(updates)) {
      const array = arrays.get(`${kind}/${name}`);
      if (array === undefined) throw new Error(`${kind}/${name} is missing`);
      if (!(array.values instanceof Float32Array) || !array.values.every(Number.isFinite)) {
        throw new Error(`${kind}/${name} holds values that are no numbers`);
      }
      kinds[kind].set(name, array);
    }
  }
  return kinds;
}

/**
 * @returns undefined where there is no checkpoint.
 * @throws InputError that names the file and what is wrong with it, if it is not
 * what {@link writeCheckpoint} writes.
 */
export function readCheckpoint(folder: string): Checkpoint | undefined {
  const path = checkpointPath(folder);
  if (!existsSync(path)) return undefined;
  const refuse = (why: string): never => {
    throw new InputError(`${path}: ${why}; start without --resume`);
  };
  let file: {arrays: Map<string, NamedArray>; about: About};
  try {
    file = readArrays<About>(path);
  } catch (error) {
    return refuse(`cannot be read (${reasonOf(error)})`);
  }
  const {version, updates, ...progression} = Object(file.about) as About;
  if (version !== VERSION)
    refuse(`a checkpoint of version ${quoted(version)}, and this program goes on with ${VERSION}`);
  const fault = faultOf({...progression, updates});
  if (fault !== undefined) refuse(`no checkpoint of a run: ${fault}`);
  try {
    return {...progression, path, updates, arrays: arraysOf(file.arrays, updates)};
  } catch (error) {
    return refuse((error as Error).message);
  }
}

/** Everything of the parameters that a checkpoint holds. */
export interface Restored {
  states: Map<string, ParameterState>;
  start: Map<string, Float32Array>;
  best: Map<string, Float32Array>;
}

/**
 * The values of a checkpoint for the parameters that there are.
 *
 * @throws InputError if it is of a run with other steps, tasks or parameters.
 */
export function restored(
  {path, arrays, updates, steps, probes}: Checkpoint,
  shapes: ReadonlyMap<string, readonly number[]>,
  {steps: wanted, tasks}: {steps?: number; tasks: string[]},
): Restored {
  const refuse = (why: string): never => {
    throw new InputError(`${path}: of another run: ${why}; start without --resume`);
  };
  if (wanted !== undefined && wanted !== steps) refuse(`it has ${steps} steps, not ${wanted}`);
  const own = probes.map(({task}) => task);
  if (own.join('\n') !== tasks.join('\n')) refuse(`its tasks are ${quoted(own)}, not ${quoted(tasks)}`);
  if (Object.keys(updates).length !== shapes.size) {
    refuse(`it has ${Object.keys(updates).length} parameters, not ${shapes.size}`);
  }
  const whole: Restored = {states: new Map(), start: new Map(), best: new Map()};
  for (const [name, shape] of shapes) {
    for (const kind of KINDS) {
      const array = arrays[kind].get(name);
      if (array?.shape.join() !== shape.join()) {
        refuse(`${kind}/${name} has the shape [${array?.shape ?? ''}], not [${shape}]`);
      }
    }
    const [values, first, second, start, best] = KINDS.map((kind) => arrays[kind].get(name)!.values);
    whole.states.set(name, {values: values!, first: first!, second: second!, updates: updates[name]!});
    whole.start.set(name, start!);
    whole.best.set(name, best!);
  }
  return whole;
}
