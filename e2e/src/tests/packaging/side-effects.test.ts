import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {parseAst} from 'rollup/parseAst';
import {manifestOf, PACKAGES} from './install.js';

const ROOT = join(__dirname, '../../../..');

interface Statement {
  type: string;
  directive?: string;
  specifiers?: unknown[];
  source?: {value?: unknown} | null;
}

const DECLARATIONS = /^(Import|Export(All|Named|Default)|Variable|Function|Class)Declaration$/;

/**
 * Whether evaluating a module does something: a statement that declares nothing, or the import
 * of another module for its effect.
 */
function hasEffect(code: string): boolean {
  const body = parseAst(code).body as unknown as Statement[];
  return body.some(({type, directive, specifiers, source}) => {
    if (type === 'ImportDeclaration' && specifiers!.length === 0) return /^\./.test(String(source!.value));
    return !DECLARATIONS.test(type) && directive === undefined;
  });
}

/** Paths of a package's modules, as a manifest writes them, in one of its two builds. */
function modulesOf(name: string, build: string): string[] {
  const folder = join(ROOT, 'packages', name, 'dist', build);
  const files = readdirSync(folder, {recursive: true, encoding: 'utf8'}).filter((file) =>
    file.endsWith('.js'),
  );
  return files.map((file) => `./dist/${build}/${file.replaceAll('\\', '/')}`);
}

function matches(pattern: string, path: string): boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[.[\]$^+?(){}|\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^/]*')}$`).test(path);
}

describe.each(PACKAGES)('%s', (name) => {
  const {sideEffects} = manifestOf(ROOT, name);
  const patterns = sideEffects === false ? [] : (sideEffects as string[]);
  const listed = (path: string) => patterns.some((pattern) => matches(pattern, path));

  test('lists every module that does something when it is evaluated, of both builds', () => {
    // The CommonJS build is made of this one, file by file.
    const effective = modulesOf(name, 'esm').filter((path) =>
      hasEffect(readFileSync(join(ROOT, 'packages', name, path), 'utf8')),
    );
    const both = [...effective, ...effective.map((path) => path.replace('/esm/', '/cjs/'))];
    expect(both.filter((path) => !listed(path))).toEqual([]);
  });

  test('lists no module that there is not', () => {
    const modules = [...modulesOf(name, 'esm'), ...modulesOf(name, 'cjs')];
    expect(patterns.filter((pattern) => !modules.some((path) => matches(pattern, path)))).toEqual([]);
  });
});

test.each([
  ["import './a.js';", true],
  ["import '@tensorflow/tfjs-layers';", false],
  ['register();', true],
  ['if (a) register();', true],
  ["'use strict'; import {a} from './a.js'; export const b = a; export function c() { b(); }", false],
  ['class A {} export {A}; export default A; export * from "./a.js";', false],
])('%j has an effect: %s', (code, effect) => {
  expect(hasEffect(code)).toBe(effect);
});
