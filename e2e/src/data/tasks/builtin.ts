import {InputError} from '../input-error.js';
import {emoji} from './emoji.js';
import {genre} from './genre.js';
import {language} from './language.js';
import {gender} from './names.js';
import {type Random, random} from './random.js';
import {spam} from './spam.js';
import {makeTask} from './split.js';
import type {LabelledText, Limits, Task} from './task.js';
import {partOfSpeech, supersense} from './wordnet.js';

const SOURCES: Record<string, (next: Random) => LabelledText[]> = {
  supersense,
  pos: partOfSpeech,
  emoji,
  spam,
  gender,
  language,
  genre,
};

export const BUILTIN_TASKS = Object.keys(SOURCES);
export const DEFAULT_TASKS = ['supersense', 'pos', 'emoji', 'spam'];

/**
 * Built-in tasks, read from the data packages, split by `seed`.
 *
 * @throws InputError for a name that is not built in or is given twice.
 */
export function loadBuiltinTasks(names: string[], limits: Limits, seed: number): Task[] {
  for (const [i, name] of names.entries()) {
    if (!Object.hasOwn(SOURCES, name)) {
      throw new InputError(
        `--tasks: no task "${name}"; choose from ${BUILTIN_TASKS.join(', ')}, or use --tasks-dir`,
      );
    }
    if (names.indexOf(name) !== i)
      throw new InputError(`--tasks: "${name}" is given twice; name each task once`);
  }
  return names.map((name) => makeTask(name, SOURCES[name]!(random(seed, `texts of ${name}`)), limits, seed));
}
