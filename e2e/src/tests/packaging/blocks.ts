import {readFileSync} from 'node:fs';
import {join} from 'node:path';

/** A block of code on a Markdown page. */
export interface Block {
  language: string;
  /** The rest of the line that opens it. */
  note: string;
  code: string;
  /** The page's line, counted from 0, at which the code starts. */
  line: number;
}

/** A program that a page shows. */
export interface Program {
  /** Where it stands, such as `docs/files.md:12`. */
  name: string;
  /**
   * The page's own lines, empty where they are not of the program: so a line of an error is a line of the
   * page.
   */
  code: string;
  /** Why it is compiled and not run. */
  onlyCompiled?: string | undefined;
}

/** Languages of blocks that are no programs. */
const OTHERS = ['sh', 'json', 'text', 'html', 'diff'];

/** The blocks of a page; those in a comment, `<!-- ts`, run with the others and are not shown. */
export function blocksOf(text: string): Block[] {
  const fences = text.matchAll(/^(?:```(\w*) ?(.*)|<!-- (ts))\n([\s\S]*?)^(?:```|-->)$/gm);
  return [...fences].map(({0: all, 1: shown, 2: note = '', 3: hidden, 4: code, index}) => ({
    language: shown ?? hidden!,
    note: note.trim(),
    code: code!,
    line: text.slice(0, index + all.indexOf('\n') + 1).split('\n').length - 1,
  }));
}

/** Whether a block is a file: its note is the file's path. */
export function isFile({note}: Block): boolean {
  return /^[\w./-]+\.\w+$/.test(note);
}

/**
 * The programs of a page. Its `ts` blocks are one program, from top to bottom; `ts alone` is one of its own;
 * `ts compiled: why` is compiled behind those above it, and not run. What is a file is no program here.
 *
 * @throws Error if a block is of no known kind, so that none is left out in silence.
 */
export function programsOf(root: string, page: string): Program[] {
  const text = readFileSync(join(root, page), 'utf8');
  const blocks = blocksOf(text);
  const lines = text.split('\n').length;
  const program = (own: Block[], onlyCompiled?: string): Program => ({
    name: `${page}:${own.at(-1)!.line + 1}`,
    code: inPlace(own, lines),
    onlyCompiled,
  });
  const joined: Block[] = [];
  const programs: Program[] = [];
  for (const block of blocks) {
    if (OTHERS.includes(block.language) || (block.language === 'ts' && isFile(block))) continue;
    const only = /^compiled: (.+)/.exec(block.note)?.[1];
    if (block.language !== 'ts' || !(block.note === '' || block.note === 'alone' || only !== undefined))
      throw new Error(
        `${page}:${block.line}: a block of '${block.language} ${block.note}' is not known. Make it ts, with nothing behind it, a ` +
          `file's path, 'alone' or 'compiled: why'; or one of ${OTHERS.join(', ')}.`,
      );
    if (only !== undefined) programs.push(program([...joined, block], only));
    else if (block.note === 'alone') programs.push(program([block]));
    else joined.push(block);
  }
  return joined.length === 0 ? programs : [program(joined), ...programs];
}

/**
 * The blocks at their lines of the page. An import that is there already is left out: a reader
 * sees it again where it is needed.
 */
function inPlace(blocks: Block[], length: number): string {
  const lines = Array<string>(length).fill('');
  const imports = new Set<string>();
  for (const {code, line} of blocks) {
    for (const [i, text] of code.split('\n').entries()) {
      const isImport = /^import .*;$/.test(text);
      if (isImport && imports.has(text)) continue;
      if (isImport) imports.add(text);
      if (text !== '') lines[line + i] = text;
    }
  }
  return lines.join('\n');
}

/** A file name for a program or an example. */
export function fileOf(name: string): string {
  return `${name.replaceAll(/[^\w]+/g, '-')}.ts`;
}
