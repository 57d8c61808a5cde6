import {InputError} from '../input-error.js';
import {type Random, random, shuffled} from './random.js';
import {type Example, type LabelledText, type Limits, SPLITS, type Split, type Task} from './task.js';

const TEST_SHARE = 0.2;
const VALIDATION_SHARE = 0.15;

/** White space collapsed, texts under 2 characters and repeated texts dropped. */
export function clean(texts: Iterable<LabelledText>): LabelledText[] {
  const seen = new Set<string>();
  const kept: LabelledText[] = [];
  for (const item of texts) {
    const text = item.text.replace(/\s+/g, ' ').trim();
    if (text.length < 2 || seen.has(text)) continue;
    seen.add(text);
    kept.push({...item, text});
  }
  return kept;
}

export function byLabel<T extends {label: string | number}>(items: readonly T[]): Map<T['label'], T[]> {
  const classes = new Map<T['label'], T[]>();
  for (const item of items) {
    const members = classes.get(item.label);
    if (members === undefined) classes.set(item.label, [item]);
    else members.push(item);
  }
  return classes;
}

/**
 * At most `limit` of the items with the classes in proportion (largest remainders), each class keeping at
 * least one while the limit allows it, in shuffled order.
 */
export function sample<T extends {label: string | number}>(
  items: readonly T[],
  limit: number,
  next: Random,
): T[] {
  if (items.length <= limit) return shuffled(items, next);
  const classes = [...byLabel(items).values()].map((members) => shuffled(members, next));
  const exact = classes.map((members) => (members.length * limit) / items.length);
  const counts = exact.map((count) => Math.max(Math.floor(count), limit >= classes.length ? 1 : 0));
  const order = exact
    .map((count, i) => ({i, rest: count - Math.floor(count)}))
    .sort((a, b) => b.rest - a.rest);
  let free = limit - counts.reduce((sum, count) => sum + count, 0);
  for (let at = 0; free > 0; at = (at + 1) % order.length) {
    const {i} = order[at]!;
    if (counts[i]! < classes[i]!.length) {
      counts[i]!++;
      free--;
    }
  }
  // Singletons of many rare classes may have taken more than there is: the largest classes give it back.
  for (; free < 0; free++) counts[counts.indexOf(Math.max(...counts))]!--;
  return shuffled(
    classes.flatMap((members, i) => members.slice(0, counts[i])),
    next,
  );
}

/**
 * A class without a text to learn from is none.
 *
 * @throws InputError if `--max-train` leaves no training text for some class.
 */
export function checkLimit(name: string, classes: number, train: number): void {
  if (train >= classes) return;
  throw new InputError(
    `--max-train: ${train} is fewer than the ${classes} classes of ${name}; give ${classes} or more`,
  );
}

/**
 * Class by class: whole groups, in shuffled order, go to a split until it has its share. A group of several
 * classes counts as one of its first item's.
 */
export function stratify<T extends {label: string; group?: string}>(
  items: readonly T[],
  next: Random,
  shares = {test: TEST_SHARE, validation: VALIDATION_SHARE},
): Record<Split, T[]> {
  const splits: Record<Split, T[]> = {train: [], validation: [], test: []};
  const groups = new Map<string, T[]>();
  items.forEach((item, i) => {
    const key = item.group ?? `\u0000${i}`;
    const members = groups.get(key);
    if (members === undefined) groups.set(key, [item]);
    else members.push(item);
  });
  const classes = byLabel([...groups.values()].map((members) => ({label: members[0]!.label, members})));
  for (const own of classes.values()) {
    const size = own.reduce((sum, {members}) => sum + members.length, 0);
    const wanted = {test: shares.test * size, validation: shares.validation * size};
    const taken = {test: 0, validation: 0};
    for (const {members} of shuffled(own, next)) {
      const split =
        taken.test + members.length / 2 <= wanted.test
          ? 'test'
          : taken.validation + members.length / 2 <= wanted.validation
            ? 'validation'
            : 'train';
      if (split !== 'train') taken[split] += members.length;
      splits[split].push(...members);
    }
  }
  return splits;
}

/** Cleaned texts to a task with seeded, stratified, disjoint splits of at most the given sizes. */
export function makeTask(name: string, texts: Iterable<LabelledText>, limits: Limits, seed: number): Task {
  const next = random(seed, `split of ${name}`);
  const cleaned = clean(texts);
  const labels = [...new Set(cleaned.map(({label}) => label))].sort();
  checkLimit(name, labels.length, limits.train);
  const index = new Map(labels.map((label, i) => [label, i]));
  const splits = stratify(cleaned, next);
  const task: Task = {name, labels, train: [], validation: [], test: []};
  for (const split of SPLITS) {
    task[split] = sample(splits[split], limits[split], next).map(
      ({text, label}): Example => ({text, label: index.get(label)!}),
    );
  }
  return task;
}
