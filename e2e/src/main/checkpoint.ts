import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {InputError} from '../tasks/task.js';
import {type NamedArray, readArrays, writeArrays} from './files.js';
import type {ParameterState, Parameters} from './parameters.js';
import type {Score} from './selection.js';

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

interface About extends Progression {
  version: 1;
  updates: Record<string, number>;
}

export interface Checkpoint extends Progression {
  states: Map<string, ParameterState>;
  start: Map<string, Float32Array>;
  best: Map<string, Float32Array>;
}

export const checkpointPath = (folder: string) => join(folder, 'checkpoint.safetensors');

/** Writes adapters, heads, moments, the best values so far and the position: one file, replaced as a whole. */
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
  const about: About = {version: 1, ...progression, updates};
  writeArrays(checkpointPath(folder), arrays, about);
}

/** @returns undefined where there is no checkpoint. */
export function readCheckpoint(folder: string): Checkpoint | undefined {
  const path = checkpointPath(folder);
  if (!existsSync(path)) return undefined;
  let file: {arrays: Map<string, NamedArray>; about: About};
  try {
    file = readArrays<About>(path);
  } catch (error) {
    throw new InputError(`${path}: cannot be read (${(error as Error).message}); start without --resume`);
  }
  const {updates, version: _, ...progression} = file.about;
  const array = (kind: string, name: string) => file.arrays.get(`${kind}/${name}`)!.values;
  const states = new Map<string, ParameterState>();
  const start = new Map<string, Float32Array>();
  const best = new Map<string, Float32Array>();
  for (const [name, count] of Object.entries(updates)) {
    states.set(name, {
      values: array('values', name),
      first: array('first', name),
      second: array('second', name),
      updates: count,
    });
    start.set(name, array('start', name));
    best.set(name, array('best', name));
  }
  return {...progression, states, start, best};
}
