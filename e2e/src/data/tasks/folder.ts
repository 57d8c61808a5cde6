import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {InputError, quoted, reasonOf} from '../input-error.js';
import {foldersIn, kindOf} from './listing.js';
import {lookalikes} from './lookalikes.js';
import {random} from './random.js';
import {checkLimit, sample} from './split.js';
import {type LabelledText, type Limits, SPLITS, type Task} from './task.js';

const SHAPE = '{"text": "...", "label": "..."}';

function parseLine(line: string, where: string): LabelledText {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new InputError(`${where}: not JSON (${(error as Error).message}); write one ${SHAPE} a line`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InputError(`${where}: not an object; write one ${SHAPE} a line`);
  }
  const fields = value as Record<string, unknown>;
  for (const key of ['text', 'label'] as const) {
    const field = fields[key];
    if (field === undefined) throw new InputError(`${where}: "${key}" is missing; write ${SHAPE}`);
    if (typeof field !== 'string' || field.trim() === '') {
      throw new InputError(`${where}: "${key}" is ${quoted(field)}; give a string that is not empty`);
    }
  }
  return {text: (fields.text as string).replace(/\s+/g, ' ').trim(), label: (fields.label as string).trim()};
}

/** Bytes of a text file to its lines, whatever system ended them. */
function decode(bytes: Uint8Array, file: string): string[] {
  // ASCII in UTF-16 is valid UTF-8 with a NUL beside each character, and has its
  // byte order first only by custom.
  const marked = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  if (marked || bytes.subarray(0, 2).includes(0)) {
    throw new InputError(`${file}: looks like UTF-16; save the file as UTF-8`);
  }
  try {
    return new TextDecoder('utf-8', {fatal: true}).decode(bytes).split(/\r\n|\n|\r/);
  } catch (error) {
    const encoding = (error as NodeJS.ErrnoException).code === 'ERR_ENCODING_INVALID_ENCODED_DATA';
    throw new InputError(
      encoding
        ? `${file}: not UTF-8; save the file as UTF-8`
        : `${file}: too large to read (${(error as Error).message})`,
    );
  }
}

function readLines(file: string): string[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new InputError(`${file}: cannot be read (${reasonOf(error)})`);
  }
  return decode(bytes, file);
}

function readSplit(file: string): (LabelledText & {where: string})[] {
  if (kindOf(file) === 'missing')
    throw new InputError(`${file}: missing; each task needs train.jsonl, validation.jsonl and test.jsonl`);
  const items = readLines(file).flatMap((line, i) => {
    const where = `${file}:${i + 1}`;
    // A byte order mark is white space, also where files were joined.
    const own = line.trim();
    return own === '' ? [] : [{...parseLine(own, where), where}];
  });
  if (items.length === 0) throw new InputError(`${file}: empty; write at least one ${SHAPE}`);
  return items;
}

function loadTask(
  directory: string,
  name: string,
  limits: Limits,
  seed: number,
  warn: (message: string) => void,
): Task {
  const [train, validation, test] = SPLITS.map((split) => readSplit(join(directory, name, `${split}.jsonl`)));
  const labels = [...new Set(train!.map(({label}) => label))].sort();
  if (labels.length < 2) {
    throw new InputError(
      `${join(directory, name, 'train.jsonl')}: all ${train!.length} texts have the label ${quoted(labels[0])}; a task needs at least 2 labels`,
    );
  }
  checkLimit(name, labels.length, limits.train);
  const alike = lookalikes(labels);
  if (alike !== undefined) {
    warn(
      `task ${name}: the labels ${quoted(alike[0])} and ${quoted(alike[1])} are two classes; are they meant to be one?`,
    );
  }
  const index = new Map(labels.map((label, i) => [label, i]));
  for (const {label, where} of [...validation!, ...test!]) {
    if (!index.has(label)) {
      throw new InputError(
        `${where}: label ${quoted(label)} never occurs in train.jsonl; add training texts of it or correct the label`,
      );
    }
  }
  const known = new Set(train!.map(({text}) => text));
  const repeated = [...validation!, ...test!].filter(({text}) => known.has(text)).length;
  if (repeated > 0) {
    warn(
      `task ${name}: ${repeated} validation or test texts are also in train.jsonl, so its figures are too good`,
    );
  }
  const next = random(seed, `sample of ${name}`);
  const take = (items: LabelledText[], limit: number) =>
    sample(items, limit, next).map(({text, label}) => ({text, label: index.get(label)!}));
  return {
    name,
    labels,
    train: take(train!, limits.train),
    validation: take(validation!, limits.validation),
    test: take(test!, limits.test),
  };
}

/**
 * Own tasks: `directory/<task>/{train,validation,test}.jsonl`, one `{"text": "...", "label": "..."}` a line.
 * Splits above their limit are sampled by `seed`, classes in proportion.
 *
 * @param warn told of validation or test texts that are also in training.
 * @throws InputError with file and line for anything that is not as described: malformed lines, labels unseen
 * in training, missing or empty splits, a single class, no task at all.
 */
export function loadTaskFolder(
  directory: string,
  limits: Limits,
  seed: number,
  warn: (message: string) => void = () => {},
): Task[] {
  const {folders, files} = foldersIn('--tasks-dir', directory, 'give one with a folder per task');
  for (const file of files.filter((name) => name.endsWith('.jsonl'))) {
    warn(`${join(directory, file)}: not in the folder of a task, so it is not read`);
  }
  if (folders.length === 0) {
    throw new InputError(
      `--tasks-dir: ${directory} has no task; make a folder per task with train.jsonl, validation.jsonl and test.jsonl`,
    );
  }
  return folders.map((name) => loadTask(directory, name, limits, seed, warn));
}
