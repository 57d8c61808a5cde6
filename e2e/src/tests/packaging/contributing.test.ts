import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {blocksOf, isFile} from './blocks.js';

const ROOT = join(__dirname, '../../../..');

/** A copy of the checkout with what is installed there, but with packages of ours of its own. */
function copyTo(folder: string): void {
  const without = ['node_modules', 'out', '.git', 'dist'].map((name) => `--exclude=${name}`);
  execFileSync('bash', ['-c', `tar -c ${without.join(' ')} . | tar -x -C '${folder}'`], {cwd: ROOT});
  const packages = readdirSync(join(ROOT, 'packages'));
  for (const home of ['.', 'e2e', ...packages.map((name) => `packages/${name}`)])
    linkModules(join(ROOT, home), join(folder, home));
  const ours = join(folder, 'node_modules/@tfjs-peft');
  mkdirSync(ours);
  for (const name of packages) symlinkSync(join(folder, 'packages', name), join(ours, name));
}

function linkModules(from: string, to: string): void {
  let names: string[];
  try {
    names = readdirSync(join(from, 'node_modules'));
  } catch {
    return;
  }
  mkdirSync(join(to, 'node_modules'), {recursive: true});
  for (const name of names) {
    if (name !== '@tfjs-peft' && name !== '.cache')
      symlinkSync(join(from, 'node_modules', name), join(to, 'node_modules', name));
  }
}

test('CONTRIBUTING, taken literally, adds a router that passes every check at the first try', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-contributor-'));
  try {
    copyTo(folder);
    const page = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8');
    const section = page.split('\n## ').find((part) => part.startsWith('Add a router'))!;
    const blocks = blocksOf(section);
    for (const {note, code} of blocks.filter(isFile)) writeFileSync(join(folder, note), code);

    const list = join(folder, /`(packages[^`]*list\.ts)`/.exec(section)![1]!);
    const lines = readFileSync(list, 'utf8').split('\n');
    const last = lines.reduce((found, line, i) => (line.startsWith('export') ? i : found), 0);
    const added = blocks.find(({language}) => language === 'diff')!.code.replaceAll(/^\+/gm, '');
    lines.splice(last + 1, 0, added.trimEnd());
    writeFileSync(list, lines.join('\n'));

    const commands = blocks
      .find(({language}) => language === 'sh')!
      .code.trim()
      .split('\n');
    expect(commands.length).toBeGreaterThan(4);
    // A jest of its own: without the variables of the one that runs this test.
    const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/JEST/.test(key)));
    const run = (command: string) =>
      execFileSync('bash', ['-c', command], {cwd: folder, env, encoding: 'utf8', stdio: 'pipe'});
    for (const command of commands) run(command);

    expect(readFileSync(join(folder, 'docs/routers.md'), 'utf8')).toMatch(/^\| `cosine` \|/m);
    // The way of the page leaves nothing for the formatter or the linter to say.
    run('npm run check');
  } finally {
    rmSync(folder, {recursive: true, force: true});
  }
}, 1_800_000);
