import {InputError} from '../../data/input-error.js';
import type {Limits} from '../../data/tasks/task.js';
import {type Flags, parseFlags} from '../../tools/command/flags.js';
import {ADAPTERS} from '../main/adapter.js';
import {BACKENDS, type Backend} from '../main/options.js';
import {IMAGE_TASKS} from './tasks.js';

/** Everything that decides the figures. */
export interface ImagesOptions {
  tasks: string[];
  imagesDir?: string;
  flip: boolean;
  adapter: string;
  /** Learning rates to choose from; those of the adapter where none is given. */
  lr?: number;
  epochs: number;
  batch: number;
  backend: Backend;
  limits: Limits;
  seeds: number[];
  out: string;
  json?: string;
  quiet: boolean;
}

export const HELP = `Usage: npm run images -- [options]

Upgrades MobileNetV2 in place, trains it on pictures and compares it with a tuned probe on the frozen model.

  --tasks a,b         built-in tasks: ${IMAGE_TASKS.join(', ')} (default all)
  --images-dir DIR    own pictures instead: DIR/<label>/*.png, .jpg, .jpeg
  --flip              own pictures stay what they are when mirrored: also train on mirrored ones
  --adapter TYPE      ${ADAPTERS.join(', ')} (default molora)
  --lr X              learning rate (default: validation chooses one of two)
  --epochs N          passes over the training pictures (default 15); validation chooses which is kept, 0 being the probe's head
  --batch B           pictures a step (default 20)
  --backend NAME      ${BACKENDS.join(', ')} (default wasm)
  --seed S            default 1
  --seeds A,B,C       a run for each seed, and their means
  --max-train N, --max-validation N, --max-test N   pictures a task (default 300, 150, 600)
  --out DIR           adapters and heads (default out/images)
  --json FILE         writes the figures
  --quiet             no progress`;

const FLAGS = {
  tasks: {type: 'string'},
  'images-dir': {type: 'string'},
  flip: {type: 'boolean'},
  adapter: {type: 'string'},
  lr: {type: 'string'},
  epochs: {type: 'string'},
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

/** The largest values that make sense; see those of the main job. */
const MOST = {rate: 10, epochs: 1e4, batch: 1024, pictures: 1e5};

/**
 * Options of a command line.
 *
 * @returns undefined when help was asked for.
 * @throws InputError for an unknown, repeated or malformed flag, naming it and what it takes.
 */
export function parseImagesOptions(argv: string[]): ImagesOptions | undefined {
  const given = parseFlags(argv, FLAGS);
  if (given.has('help')) return undefined;
  if (given.has('tasks') && given.has('images-dir')) {
    throw new InputError('--tasks and --images-dir: give one of them');
  }
  if (given.has('flip') && !given.has('images-dir')) {
    throw new InputError(
      '--flip: of --images-dir only; each built-in task says for itself whether it may be mirrored',
    );
  }
  const tasks = given.list('tasks') ?? IMAGE_TASKS;
  for (const [i, name] of tasks.entries()) {
    if (!IMAGE_TASKS.includes(name)) {
      throw new InputError(
        `--tasks: no task "${name}"; choose from ${IMAGE_TASKS.join(', ')}, or use --images-dir`,
      );
    }
    if (tasks.indexOf(name) !== i)
      throw new InputError(`--tasks: "${name}" is given twice; name each task once`);
  }
  return {
    tasks,
    imagesDir: given.text('images-dir'),
    flip: given.has('flip'),
    adapter: given.choice('adapter', ADAPTERS) ?? 'molora',
    lr: given.number('lr', {most: MOST.rate}),
    epochs: given.count('epochs', MOST.epochs) ?? 15,
    batch: given.count('batch', MOST.batch) ?? 20,
    backend: given.choice('backend', BACKENDS) ?? 'wasm',
    limits: {
      train: given.count('max-train', MOST.pictures) ?? 300,
      validation: given.count('max-validation', MOST.pictures) ?? 150,
      test: given.count('max-test', MOST.pictures) ?? 600,
    },
    seeds: given.seeds('seed', 'seeds', [1]),
    out: given.text('out') ?? 'out/images',
    json: given.text('json'),
    quiet: given.has('quiet'),
  };
}
