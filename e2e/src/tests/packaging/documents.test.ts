import {spawnSync} from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as kernels from '@tfjs-peft/kernels';
import * as repair from '@tfjs-peft/layers/repair';
import {chromiumMissing, openChromium} from '@tfjs-peft/testing/chromium';
import {blocksOf, fileOf, isFile, type Program, programsOf} from './blocks.js';
import {examplesOf} from './docstrings.js';
import {install, PACKAGES, pack} from './install.js';

const ROOT = join(__dirname, '../../../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const list = (folder: string, ending: string) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`);

const PAGES = [
  ...['README.md', 'FEATURES.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md'],
  ...list('docs', '.md'),
  ...PACKAGES.map((name) => `packages/${name}/README.md`),
];
const EXAMPLES = list('examples', '.ts').map((name): Program => ({name, code: read(name)}));
const PROGRAMS = [...EXAMPLES, ...PAGES.flatMap((page) => programsOf(ROOT, page))];
const DOCSTRINGS = examplesOf(ROOT);
/** Files of the page that docs/getting-started.md makes. */
const PAGE = blocksOf(read('docs/getting-started.md')).filter(({note}) => note.startsWith('page/'));

/** A strict project of a user, and whatever a user might have forgotten left at its default. */
const TSCONFIG = {
  compilerOptions: {
    target: 'es2022',
    module: 'nodenext',
    lib: ['es2022', 'dom'],
    types: ['node'],
    strict: true,
    skipLibCheck: true,
    outDir: 'built',
    rootDir: '.',
  },
  include: ['*.ts', 'page/*.ts'],
};

let app: string;
let compiled: string;

beforeAll(() => {
  app = mkdtempSync(join(tmpdir(), 'tfjs-peft-documents-'));
  const tarballs = Object.fromEntries(PACKAGES.map((name) => [name, pack(ROOT, name, app)]));
  const tfjs = ['tfjs', 'tfjs-backend-wasm', 'tfjs-converter'].map((name) => `@tensorflow/${name}`);
  install(ROOT, tarballs, PACKAGES, app, [...tfjs, '@types/node', 'undici-types']);
  writeFileSync(join(app, 'package.json'), '{"private": true, "type": "module"}');
  writeFileSync(join(app, 'tsconfig.json'), JSON.stringify(TSCONFIG));
  for (const {name, code} of [...PROGRAMS, ...DOCSTRINGS]) writeFileSync(join(app, fileOf(name)), code);
  mkdirSync(join(app, 'page'));
  for (const {note, code} of PAGE) writeFileSync(join(app, note), code);
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const {status, stdout, stderr} = spawnSync(process.execPath, [tsc, '-p', app], {encoding: 'utf8'});
  compiled = status === 0 ? '' : `${stdout}${stderr}`;
}, 180_000);
afterAll(() => rmSync(app, {recursive: true, force: true}));

test('every block and every example compiles in a strict project', () => expect(compiled).toBe(''));

test.each(PROGRAMS.filter(({onlyCompiled}) => onlyCompiled === undefined).map(({name}) => name))(
  '%s runs',
  (name) => {
    const folder = mkdtempSync(join(app, 'run-'));
    const program = join(app, 'built', fileOf(name).replace(/ts$/, 'js'));
    const run = spawnSync(process.execPath, [program], {cwd: folder, encoding: 'utf8'});
    const banner = /=+|.*looks like you are running TensorFlow.js in Node.*/g;
    expect(run.stderr.replaceAll(banner, '').trim()).toBe('');
    expect(run.status).toBe(0);
    expect(run.stdout.trim()).not.toBe('');
  },
);

test('every @example of a docstring runs', () => {
  // In one process, and those that take our kernels out come last.
  const run = DOCSTRINGS.filter(({onlyCompiled}) => onlyCompiled === undefined);
  const last = run.filter(({code}) => code.includes('unregister'));
  const files = [...run.filter((program) => !last.includes(program)), ...last].map(({name}) => fileOf(name));
  const lines = ['@tensorflow/tfjs', ...files.map((file) => `./${file.replace(/ts$/, 'js')}`)];
  const all = join(app, 'built/all.js');
  writeFileSync(all, lines.map((line) => `await import('${line}');`).join('\n'));
  const folder = mkdtempSync(join(app, 'run-'));
  const {status, stderr} = spawnSync(process.execPath, [all], {cwd: folder, encoding: 'utf8'});
  expect({status, stderr: status === 0 ? '' : stderr}).toEqual({status: 0, stderr: ''});
});

/** Where the files that pages show are compiled and run: here, or in contributing.test.ts. */
const SHOWN: Record<string, RegExp> = {
  'docs/getting-started.md': /^page\//,
  'CONTRIBUTING.md': /^packages\//,
};

test.each(PAGES)('what %s shows of a file is what the file says', (page) => {
  const elsewhere = blocksOf(read(page)).filter((block) => isFile(block) && !/^examples\//.test(block.note));
  expect(elsewhere.filter(({note}) => !SHOWN[page]?.test(note))).toEqual([]);
  for (const {note, code} of blocksOf(read(page))
    .filter(isFile)
    .filter(({note}) => /^examples/.test(note)))
    expect({note, code}).toEqual({note, code: read(note)});
});

test.each(PAGES)('%s names npm scripts that there are', (page) => {
  const {scripts} = JSON.parse(read('package.json')) as {scripts: Record<string, string>};
  const shell = blocksOf(read(page)).filter(({language}) => language === 'sh');
  const used = shell.flatMap(({code}) =>
    [...code.matchAll(/npm (?:run )?([\w-]+)/g)].map(([, name]) => name!),
  );
  expect(used.filter((name) => !['install', 'init', ...Object.keys(scripts)].includes(name))).toEqual([]);
});

test.each(PAGES)('links of %s lead to files that there are', (page) => {
  const links = [...read(page).matchAll(/\]\((?!https?:)([^)#\s]+)(#[\w-]+)?\)/g)];
  const missing = links.filter(([, path, anchor]) => {
    const target = join(ROOT, page, '..', path!);
    if (anchor === undefined) return !existsSync(target);
    return !existsSync(target) || !anchorsOf(readFileSync(target, 'utf8')).includes(anchor.slice(1));
  });
  expect(missing.map(([link]) => link)).toEqual([]);
});

test.each(PAGES)('files and folders that %s names are there', (page) => {
  const named = [
    ...read(page).matchAll(/`((?:packages|e2e|scripts|docs|kernels|routers|quant|layers)\/[\w/.-]+)`/g),
  ];
  // Packages are called by their name alone, and entry points without their extension.
  const ways = (path: string) => {
    const inside = `packages/${path.replace('/', '/src/')}`;
    return [path, `packages/${path}`, inside, `${inside}.ts`];
  };
  const missing = named.filter(([, path]) => !ways(path!).some((at) => existsSync(join(ROOT, at))));
  expect(missing.map(([name]) => name)).toEqual([]);
});

test('docs/errors.md has a row for every class of errors', () => {
  const classes = [...Object.keys(kernels), ...Object.keys(repair)].filter((name) => /Error$/.test(name));
  expect(classes.length).toBeGreaterThan(9);
  const rows = [...read('docs/errors.md').matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name);
  expect(classes.filter((name) => name !== 'PeftError' && !rows.includes(name))).toEqual([]);
});

/** What GitHub calls the headings of a page. */
function anchorsOf(text: string): string[] {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) => title!);
  return headings.map((title) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

const browser = chromiumMissing === undefined ? test : test.skip;
browser(
  `the page of docs/getting-started.md trains in a browser, itself and in a worker`,
  async () => {
    const wasm = join(ROOT, 'node_modules/@tensorflow/tfjs-backend-wasm/dist');
    const folder = join(app, 'page');
    mkdirSync(join(folder, 'public/wasm'), {recursive: true});
    for (const name of readdirSync(wasm).filter((file) => file.endsWith('.wasm')))
      cpSync(join(wasm, name), join(folder, 'public/wasm', name));
    const built = spawnSync(process.execPath, [join(__dirname, 'bundlers.mjs'), 'page', folder, 'vite'], {
      encoding: 'utf8',
    });
    expect(built.stderr).toBe('');
    const open = await openChromium({folder: join(folder, 'vite')});
    try {
      await open.page.waitForFunction('document.querySelector("#log").textContent !== ""');
      expect(await open.page.textContent('#log')).toBe('page: wasm, worker: wasm, 2 epochs');
      expect(open.errors).toEqual([]);
    } finally {
      await open.close();
    }
  },
  180_000,
);
