import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {pages, withTables} from './tables.js';

const ROOT = join(__dirname, '../../../..');

test('pages have tables', () => {
  expect(pages(ROOT)).toEqual(expect.arrayContaining(['README.md', 'FEATURES.md', 'docs/routers.md']));
});

test.each(pages(ROOT))('the tables of %s are fresh (npm run build, then npm run tables)', (page) => {
  const text = readFileSync(join(ROOT, page), 'utf8');
  expect(withTables(text)).toBe(text);
});

test('a marker of no table is an error', () => {
  expect(() => withTables('<!-- generated: nonsense --><!-- end -->')).toThrow(/no table "nonsense"/);
});
