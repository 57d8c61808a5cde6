import {InputError} from '../../data/input-error.js';
import {random} from '../../data/tasks/random.js';
import {checkLimit, sample, stratify} from '../../data/tasks/split.js';
import {type Limits, SPLITS, type Split} from '../../data/tasks/task.js';
import {digits} from './digits.js';
import {emojiCategories, emojiVendors} from './emoji.js';
import type {Picture} from './picture.js';
import type {LabelledPicture, Source} from './source.js';

const BUILTIN: Record<string, {pictures: () => LabelledPicture[]; mirror: boolean}> = {
  digits: {pictures: digits, mirror: false},
  'emoji-category': {pictures: emojiCategories, mirror: true},
  'emoji-vendor': {pictures: emojiVendors, mirror: true},
};

export const IMAGE_TASKS = Object.keys(BUILTIN);

/**
 * Pictures are dear, so more of them go to the test than of texts: its error is what limits what can be said.
 */
const SHARES = {test: 0.3, validation: 0.2};

/**
 * Pictures of a built-in task.
 *
 * @throws InputError for a name that is not built in.
 */
export function builtinSource(name: string): Source {
  if (!Object.hasOwn(BUILTIN, name)) {
    throw new InputError(
      `--tasks: no task "${name}"; choose from ${IMAGE_TASKS.join(', ')}, or use --images-dir`,
    );
  }
  const {pictures, mirror} = BUILTIN[name]!;
  return {name, pictures: pictures(), mirror};
}

export interface Pictures {
  pictures: Picture[];
  /** Index in {@link ImageTask.classes} of each. */
  labels: Int32Array;
}

/** Decoded pictures of a task, split by a seed. */
export interface ImageTask extends Record<Split, Pictures> {
  name: string;
  classes: string[];
  mirror: boolean;
}

/** Which pictures of a source are in which split. */
export type Sides = Record<Split, LabelledPicture[]>;

/** Seeded, stratified, disjoint splits of at most the given sizes, groups on one side. */
export function splitSource({name, pictures}: Source, limits: Limits, seed: number): Sides {
  const next = random(seed, `pictures of ${name}`);
  const classes = new Set(pictures.map(({label}) => label)).size;
  checkLimit(name, classes, limits.train);
  const sides = stratify(pictures, next, SHARES);
  for (const split of SPLITS) {
    sides[split] = sample(sides[split], limits[split], next);
    if (sides[split].length === 0) throw new InputError(`${name}: no picture is left for ${split}; add some`);
  }
  const learnt = new Set(sides.train.map(({label}) => label));
  if (learnt.size < classes) {
    const missing = pictures.find(({label}) => !learnt.has(label))!.label;
    throw new InputError(`${name}: no picture of "${missing}" is left to train on; add some that differ`);
  }
  return sides;
}

/** Decodes the pictures of some splits, each once, whichever seed asks. */
export class Decoder {
  private readonly decoded = new Map<LabelledPicture, Picture>();

  /** How many of them are not decoded yet. */
  missing(sides: Sides[], splits: readonly Split[] = SPLITS): LabelledPicture[] {
    const wanted = new Set(sides.flatMap((own) => splits.flatMap((split) => own[split])));
    return [...wanted].filter((picture) => !this.decoded.has(picture));
  }

  /** @throws InputError that names a file that cannot be decoded. */
  decode(picture: LabelledPicture): Picture {
    const known = this.decoded.get(picture) ?? picture.read();
    this.decoded.set(picture, known);
    return known;
  }

  task({name, pictures, mirror}: Source, sides: Sides, splits: readonly Split[] = SPLITS): ImageTask {
    const classes = [...new Set(pictures.map(({label}) => label))].sort();
    const index = new Map(classes.map((label, i) => [label, i]));
    const task = {name, classes, mirror} as ImageTask;
    for (const split of SPLITS) {
      const own = splits.includes(split) ? sides[split] : [];
      task[split] = {
        pictures: own.map((picture) => this.decode(picture)),
        labels: Int32Array.from(own, ({label}) => index.get(label)!),
      };
    }
    return task;
  }
}
