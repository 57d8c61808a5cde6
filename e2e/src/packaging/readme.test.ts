import {spawnSync} from 'node:child_process';
import {mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {PACKAGES} from './install.js';

const ROOT = join(__dirname, '../../..');
const EXAMPLES = join(ROOT, 'examples');
const files = readdirSync(EXAMPLES).filter((name) => name.endsWith('.mjs'));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

/** The code blocks of a Markdown page, by language. */
function blocks(page: string): {language: string; code: string}[] {
  return [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, code]) => ({
    language: language!,
    code: code!,
  }));
}

test.each(['README.md', ...PACKAGES.map((name) => `packages/${name}/README.md`)])(
  'the code of %s is an example',
  (page) => {
    const examples = files.map((name) => readFileSync(join(EXAMPLES, name), 'utf8'));
    const code = blocks(read(page)).filter(({language}) => ['js', 'ts', 'mjs'].includes(language));
    expect(code.length).toBeGreaterThan(0);
    for (const block of code) expect(examples).toContain(block.code);
  },
);

test('the README names npm scripts that there are', () => {
  const {scripts} = JSON.parse(read('package.json')) as {scripts: Record<string, string>};
  const shell = blocks(read('README.md')).filter(({language}) => language === 'sh');
  const used = shell.flatMap(({code}) => [...code.matchAll(/npm (?:run )?(\w+)/g)].map(([, name]) => name!));
  expect(used).toContain('start');
  for (const name of used) expect(['install', ...Object.keys(scripts)]).toContain(name);
});

describe('examples, run as they are on the built packages', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-examples-'));
  afterAll(() => rmSync(folder, {recursive: true, force: true}));
  test.each(files)('%s', (name) => {
    const run = spawnSync(process.execPath, [join(EXAMPLES, name)], {cwd: folder, encoding: 'utf8'});
    expect(run.stderr.replaceAll(/=+|.*looks like you are running TensorFlow.js in Node.*/g, '').trim()).toBe(
      '',
    );
    expect(run.status).toBe(0);
    expect(run.stdout.trim()).not.toBe('');
  });
});
