import {InputError} from '../../data/input-error.js';
import {type Flags, parseFlags} from '../../tools/command/flags.js';
import {ADAPTERS} from '../common/adapter.js';
import {helpOf, JOB_FLAGS, type JobOptions, jobHelp, jobOptions} from '../common/options.js';
import {IMAGE_TASKS} from './tasks.js';

/** Everything that decides the figures. */
export interface ImagesOptions extends JobOptions {
  tasks: string[];
  imagesDir?: string;
  flip: boolean;
  epochs: number;
}

const DEFAULTS = {batch: 20, limits: {train: 300, validation: 150, test: 600}, out: 'out/images'};

const JOB = jobHelp('pictures', DEFAULTS, ADAPTERS, 'adapters and heads');

export const HELP = helpOf(
  'npm run images',
  'Upgrades MobileNetV2 in place, trains it on pictures and compares it with a tuned probe on the frozen model.',
  [
    ['--tasks a,b', `built-in tasks: ${IMAGE_TASKS.join(', ')} (default all)`],
    ['--images-dir DIR', 'own pictures instead: DIR/<label>/*.png, .jpg, .jpeg'],
    ['--flip', 'own pictures stay what they are when mirrored: also train on mirrored ones'],
    JOB.adapter,
    ['--lr X', 'learning rate (default: validation chooses one of two)'],
    [
      '--epochs N',
      "passes over the training pictures (default 15); validation chooses which is kept, 0 being the probe's head",
    ],
    JOB.batch,
    JOB.backend,
    JOB.seed,
    JOB.seeds,
    JOB.limits,
    JOB.out,
    JOB.json,
    JOB.quiet,
  ],
);

const FLAGS = {
  ...JOB_FLAGS,
  'images-dir': {type: 'string'},
  flip: {type: 'boolean'},
  epochs: {type: 'string'},
} as const satisfies Flags;

/** The largest values that make sense. */
const MOST = {epochs: 1e4, pictures: 1e5};

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
    epochs: given.count('epochs', MOST.epochs) ?? 15,
    ...jobOptions(given, DEFAULTS, MOST.pictures, ADAPTERS),
  };
}
