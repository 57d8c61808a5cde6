import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {basename, join, resolve} from 'node:path';
import {InputError, quoted, reasonOf} from '../../data/input-error.js';
import {foldersIn} from '../../data/tasks/listing.js';
import {lookalikes} from '../../data/tasks/lookalikes.js';
import {readPicture} from './picture.js';
import type {LabelledPicture, Source} from './source.js';

const ADVICE = 'give one with a folder per label and its PNG and JPEG pictures inside';
const ENDING = /\.(png|jpe?g)$/i;
/** Fewer pictures of a label could not be spread over training, validation and test. */
const FEWEST = 5;
/** File names that a warning gives. */
const NAMED = 3;

function hashOf(path: string): string {
  try {
    return createHash('sha256').update(readFileSync(path)).digest('hex');
  } catch (error) {
    throw new InputError(`${path}: cannot be read (${reasonOf(error)})`);
  }
}

function picturesOf(directory: string, label: string, warn: (message: string) => void): LabelledPicture[] {
  const folder = join(directory, label);
  const {folders, files} = foldersIn('--images-dir', folder, ADVICE);
  const others = [...folders.map((name) => `${name}/`), ...files.filter((name) => !ENDING.test(name))];
  if (others.length > 0) {
    const names = others.slice(0, NAMED).join(', ') + (others.length > NAMED ? ', ...' : '');
    warn(`${folder}: ${others.length} left out that are not .png, .jpg or .jpeg: ${names}`);
  }
  const pictures = files.filter((name) => ENDING.test(name));
  if (pictures.length < FEWEST) {
    throw new InputError(
      `${folder}: ${pictures.length} pictures (.png, .jpg, .jpeg), and a label needs at least ${FEWEST}; add some, or remove the folder`,
    );
  }
  return pictures.map((name) => {
    const path = join(folder, name);
    // The same file under two names would be learnt in training and asked for in the test.
    return {label, group: hashOf(path), read: () => readPicture(path)};
  });
}

/** Says so of pictures that are in the folders of two labels: one of them is wrong. */
function warnOfContradictions(pictures: LabelledPicture[], warn: (message: string) => void): void {
  const labels = new Map<string, string>();
  for (const {label, group} of pictures) {
    const before = labels.get(group!) ?? label;
    if (before !== label) {
      warn(
        `the same picture is in the folders ${quoted(before)} and ${quoted(label)}, so one of its labels is wrong`,
      );
    }
    labels.set(group!, before);
  }
}

/**
 * Pictures of one's own: `directory/<label>/*.png|jpg|jpeg`.
 *
 * @param mirror whether mirrored pictures are still ones of their labels.
 * @param warn told of files that are left out, labels that look alike, and pictures under two labels.
 * @throws InputError for a folder that is none or cannot be read, fewer than two labels,
 * or a label with too few pictures.
 */
export function readImagesFolder(
  directory: string,
  mirror: boolean,
  warn: (message: string) => void,
): Source {
  const {folders, files} = foldersIn('--images-dir', directory, ADVICE);
  if (files.length > 0) {
    warn(`${directory}: ${files.length} files beside the labels' folders are left out, such as ${files[0]}`);
  }
  if (folders.length < 2) {
    throw new InputError(
      `--images-dir: ${directory} has ${folders.length === 0 ? 'no label' : `one label, ${quoted(folders[0])}`}; a task needs a folder for each of at least 2 labels`,
    );
  }
  const alike = lookalikes(folders);
  if (alike !== undefined) {
    warn(`the labels ${quoted(alike[0])} and ${quoted(alike[1])} are two classes; are they meant to be one?`);
  }
  const pictures = folders.flatMap((label) => picturesOf(directory, label, warn));
  warnOfContradictions(pictures, warn);
  return {name: basename(resolve(directory)), pictures, mirror};
}
