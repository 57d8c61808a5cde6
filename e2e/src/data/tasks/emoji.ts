import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {packageFolder} from '../models/package-folder.js';
import type {LabelledText} from './task.js';

interface Emoji {
  label: string;
  tags?: string[];
  group?: number;
}

/** Unicode's groups by number; 2 holds components (skin tones, hair), which are no emoji of their own. */
const GROUPS = new Map([
  [0, 'smileys'],
  [1, 'people'],
  [3, 'nature'],
  [4, 'food'],
  [5, 'travel'],
  [6, 'activities'],
  [7, 'objects'],
  [8, 'symbols'],
  [9, 'flags'],
]);

/** An emoji's name and tags to its Unicode group: 9 classes. */
export function emoji(): LabelledText[] {
  const file = join(packageFolder('emojibase-data'), 'en', 'data.json');
  const all = JSON.parse(readFileSync(file, 'utf8')) as Emoji[];
  return all.flatMap(({label, tags, group}) => {
    const name = GROUPS.get(group ?? -1);
    return name === undefined ? [] : [{text: [label, ...(tags ?? [])].join(' '), label: name}];
  });
}
