import {existsSync, readdirSync, readFileSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {random} from './random.js';
import {sample} from './split.js';
import {InputError, type LabelledText, type Limits, SPLITS, type Task} from './task.js';

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
      throw new InputError(`${where}: "${key}" is ${JSON.stringify(field)}; give a string that is not empty`);
    }
  }
  return {text: (fields.text as string).replace(/\s+/g, ' ').trim(), label: (fields.label as string).trim()};
}

function readLines(file: string): string[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new InputError(`${file}: cannot be read (${(error as Error).message})`);
  }
  try {
    return new TextDecoder('utf-8', {fatal: true}).decode(bytes).split(/\r?\n/);
  } catch {
    throw new InputError(`${file}: not UTF-8; save the file as UTF-8`);
  }
}

function readSplit(file: string): (LabelledText & {where: string})[] {
  if (!existsSync(file))
    throw new InputError(`${file}: missing; each task needs train.jsonl, validation.jsonl and test.jsonl`);
  const items = readLines(file).flatMap((line, i) => {
    const where = `${file}:${i + 1}`;
    return line.trim() === '' ? [] : [{...parseLine(line, where), where}];
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
      `${join(directory, name, 'train.jsonl')}: all ${train!.length} texts have the label "${labels[0]}"; a task needs at least 2 labels`,
    );
  }
  const index = new Map(labels.map((label, i) => [label, i]));
  for (const {label, where} of [...validation!, ...test!]) {
    if (!index.has(label)) {
      throw new InputError(
        `${where}: label "${label}" never occurs in train.jsonl; add training texts of it or correct the label`,
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
 * Own tasks: `directory/<task>/{train,validation,test}.jsonl`, one `{"text": "...", "label": "..."}` a line. Splits above
 * their limit are sampled by `seed`, classes in proportion.
 *
 * @param warn told of validation or test texts that are also in training.
 * @throws InputError with file and line for anything that is not as described: malformed lines, labels unseen in
 *   training, missing or empty splits, a single class, no task at all.
 */
export function loadTaskFolder(
  directory: string,
  limits: Limits,
  seed: number,
  warn: (message: string) => void = () => {},
): Task[] {
  if (!existsSync(directory) || !statSync(directory).isDirectory()) {
    throw new InputError(`--tasks-dir: ${directory} is not a folder; give one with a folder per task`);
  }
  const names = readdirSync(directory, {withFileTypes: true})
    .filter((entry) => !entry.name.startsWith('.') && statSync(join(directory, entry.name)).isDirectory())
    .map(({name}) => name)
    .sort();
  if (names.length === 0) {
    throw new InputError(
      `--tasks-dir: ${directory} has no task; make a folder per task with train.jsonl, validation.jsonl and test.jsonl`,
    );
  }
  return names.map((name) => loadTask(directory, name, limits, seed, warn));
}
