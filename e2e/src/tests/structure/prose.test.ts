import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {sourcesOf} from '../packaging/docstrings.js';
import {PACKAGES} from '../packaging/install.js';

const ROOT = join(__dirname, '../../../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const SOURCES = sourcesOf(ROOT).map((path) => ({path, text: read(path)}));

/** The texts of all errors of a source: the strings in `new …Error(…)`. */
function errorsOf(text: string): string[] {
  return [...text.matchAll(/new \w*Error\(\s*([\s\S]*?),?(?:\s*\{\w+\},?)?\s*\);?\n/g)].map(([, argument]) =>
    argument!.replaceAll(/[`'"]\s*\+\s*[`'"]/g, ''),
  );
}

/** Phrases that say nothing, or that no native engineer would write. */
const NON_PHRASES = [
  /\bSet (\S+ )?so\b/,
  /\bMake it one\b/,
  /\bnot to be had\b/,
  /\blet be\b/,
  /\bso many\b/,
  /\bthe way round\b/,
  /\bbrings no\b/,
  /\bis none of\b/,
  /\bteach it\b/i,
  /\ba text\b/,
  /\bletters\b/,
];

test('errors are found', () => {
  expect(SOURCES.flatMap(({text}) => errorsOf(text)).length).toBeGreaterThan(200);
  expect(errorsOf("throw new ConfigError(\n  'rank is 0. ' +\n    'Set rank so.',\n);\n")).toEqual([
    "'rank is 0. Set rank so.'",
  ]);
});

test('no error says a phrase that helps nobody', () => {
  const bad = SOURCES.flatMap(({path, text}) =>
    errorsOf(text).flatMap((error) =>
      NON_PHRASES.filter((phrase) => phrase.test(error)).map(() => `${path}: ${error}`),
    ),
  );
  expect(bad).toEqual([]);
});

test.each(PACKAGES)('every function and class that %s exports has an @example', (name) => {
  const names = [
    ...read(`packages/${name}/api.md`).matchAll(/^export (?:abstract )?(?:function|class) (\w+)/gm),
  ];
  const shown = (declared: string) =>
    SOURCES.some(({path, text}) => {
      if (!path.startsWith(`packages/${name}/`)) return false;
      const at = text.search(
        new RegExp(`^export (?:abstract |async )*(?:function|class) ${declared}\\b`, 'm'),
      );
      if (at < 0) return false;
      const docs = text.slice(0, at).trimEnd();
      return docs.endsWith('*/') && docs.slice(docs.lastIndexOf('/**')).includes('@example');
    });
  const reexported =
    name === 'routers' ? [...read('packages/kernels/api.md').matchAll(/^export function (\w+)/gm)] : [];
  const elsewhere = new Set(reexported.map(([, other]) => other));
  expect(
    names.map(([, declared]) => declared!).filter((each) => !elsewhere.has(each) && !shown(each)),
  ).toEqual([]);
});
