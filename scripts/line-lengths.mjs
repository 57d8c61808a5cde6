// Prose is at most 110 columns wide, as code is, which biome sees to: comments, and the pages but for their
// tables, code and links.
import {execFileSync} from 'node:child_process';
import {existsSync, readFileSync} from 'node:fs';

const WIDTH = 110;

/** Text of others, or written by tests. */
const LEFT_OUT = /^e2e\/(golden|fixtures|saved)\/|api\.md$|^LICENSE$/;

const isComment = (line) => /^\s*(\/\/|\/?\*|#)/.test(line) || /\s\/\/ /.test(line);

/**
 * The lines of a page that are neither code nor rows of a table, each with its number; links count by their
 * text.
 */
function proseOf(lines) {
  let code = false;
  return lines.flatMap((line, i) => {
    const fence = /^\s*```/.test(line);
    if (fence) code = !code;
    return code || fence || /^\s*\|/.test(line) ? [] : [[i + 1, line.replaceAll(/\]\([^)]*\)/g, ']')]];
  });
}

const commentsOf = (lines) => lines.flatMap((line, i) => (isComment(line) ? [[i + 1, line]] : []));

// What git knows, or will know once it is added.
const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  encoding: 'utf8',
});
const files = listed.split('\0').filter((path) => /\.(ts|mjs|cjs|js|md|sh)$|^\.ci\//.test(path));
let found = 0;
for (const path of files) {
  if (LEFT_OUT.test(path) || !existsSync(path)) continue;
  const lines = readFileSync(path, 'utf8').split('\n');
  for (const [number, line] of path.endsWith('.md') ? proseOf(lines) : commentsOf(lines)) {
    if (line.length <= WIDTH || !/\s/.test(line.trim().replace(/^(\/\/|\/?\*+|-)\s*/, ''))) continue;
    console.error(`${path}:${number}: ${line.length} columns, at most ${WIDTH}`);
    found++;
  }
}
process.exitCode = found > 0 ? 1 : 0;
