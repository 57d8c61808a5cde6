import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {circlesIn, type Import, importsOf, specifiersOf} from './imports.js';
import {isTest, PARTS, packageOf, partOf} from './parts.js';

const ROOT = join(__dirname, '../../../..');
const IMPORTS = importsOf(ROOT);
const PUBLISHED = Object.keys(JSON.parse(readFileSync(join(ROOT, 'scripts/entry-points.json'), 'utf8')));

const said = ({from, specifier}: Import): string => `${from} imports ${specifier}`;

test('the sources are all there, and each file belongs to a part', () => {
  for (const {path} of PARTS)
    expect([path, IMPORTS.some(({from}) => from.startsWith(path))]).toEqual([path, true]);
  expect(IMPORTS.filter(({from}) => partOf(from) === undefined).map(said)).toEqual([]);
});

test('no file imports itself by way of others, types included', () => {
  expect(circlesIn(IMPORTS).map((circle) => circle.join(' -> '))).toEqual([]);
});

test('every file of ours that is imported exists', () => {
  const lost = IMPORTS.filter(({specifier, to}) => specifier.startsWith('.') && to === undefined);
  // Built by npm run build.
  expect(lost.map(said).filter((line) => !line.includes('.generated.'))).toEqual([]);
});

test('no file reaches into another package by its path', () => {
  const reaching = IMPORTS.filter(
    ({from, to, specifier}) => specifier.startsWith('.') && to && packageOf(from) !== packageOf(to),
  );
  expect(reaching.map(said)).toEqual([]);
});

test('each part imports only what its floor may', () => {
  const wrong = IMPORTS.filter(({from, to}) => {
    if (to === undefined || isTest(from)) return false;
    const [own, other] = [partOf(from)!, partOf(to)];
    return own !== other && (other === undefined || !own.uses.includes(other.path));
  });
  expect(wrong.map(said)).toEqual([]);
});

test('tests import packages below their own and packages/testing; only tests import testing folders', () => {
  const wrong = IMPORTS.filter(({from, to}) => {
    if (to === undefined) return false;
    if (!isTest(from)) return isTest(to);
    const [own, other] = [packageOf(from), packageOf(to)];
    const below = PARTS.filter(({path}) => path.startsWith(own)).flatMap(({uses}) => uses);
    return own !== other && other !== 'packages/testing' && !below.some((path) => path.startsWith(other));
  });
  expect(wrong.map(said)).toEqual([]);
});

test.each(PUBLISHED)(
  'the manifest of %s names the packages of ours that its sources import, and no other',
  (name) => {
    const own = IMPORTS.filter(({from}) => packageOf(from) === `packages/${name}` && !isTest(from));
    const used = own.flatMap(({specifier}) => /^@tfjs-peft\/[^/]+/.exec(specifier)?.[0] ?? []);
    const manifest = JSON.parse(readFileSync(join(ROOT, 'packages', name, 'package.json'), 'utf8'));
    const {dependencies = {}, devDependencies = {}, peerDependencies = {}} = manifest;
    const named = Object.keys({...dependencies, ...devDependencies, ...peerDependencies});
    expect(named.filter((dependency) => dependency.startsWith('@tfjs-peft/')).sort()).toEqual(
      [...new Set(used)].sort(),
    );
  },
);

describe('what the rules are made of', () => {
  test('statements that name a module', () => {
    const code = `
      import a, {b} from './a.js'; import type {C} from './c.js'; import './d.js';
      export * from './e.js'; export {f} from './f.js'; export type {G} from './g.js';
      const text = "import {x} from './x.js'"; export const y = 1;
      await import('./h.js'); type I = import('./i.js').I;`;
    expect(
      specifiersOf(code)
        .map((name) => name[2])
        .join(''),
    ).toBe('acdefghi');
  });

  test('circles', () => {
    const imports = (...pairs: string[]) =>
      pairs.map((pair) => ({from: pair[0]!, specifier: '', to: pair[1]!}));
    expect(circlesIn(imports('ab', 'bc', 'ac'))).toEqual([]);
    expect(circlesIn(imports('ab', 'bc', 'ca', 'cd'))).toEqual([['a', 'b', 'c', 'a']]);
    expect(circlesIn(imports('ab', 'ba', 'cd', 'dc', 'bc'))).toHaveLength(2);
    expect(circlesIn(imports('aa'))).toEqual([['a', 'a']]);
  });
});
