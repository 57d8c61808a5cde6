// Prose is at most 110 columns wide, as code is, which biome sees to: comments, and the pages but for their
// tables, code and links.
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {root} from './packages.mjs';

const WIDTH = 110;

/** Folders of others' text, and of what is built. */
const SKIPPED = /(^|\/)(node_modules|dist|out|coverage|\.git)$|^e2e\/(golden|fixtures|saved)$/;

/** Files that programs write. */
const LEFT_OUT = /\.generated\.ts$|api\.md$/;

const isComment = (line) => /^\s*(\/\/|\/?\*|#)/.test(line) || /\s\/\/ /.test(line);

/**
 * The lines of a page that are neither code nor rows of a table, each with its number; links count by their
 * text, and marks of what is generated not at all.
 */
function proseOf(lines) {
  let code = false;
  return lines.flatMap((line, i) => {
    const fence = /^\s*```/.test(line);
    if (fence) code = !code;
    return code || fence || /^\s*\|/.test(line)
      ? []
      : [[i + 1, line.replaceAll(/\]\([^)]*\)|<!--.*?-->/g, ']')]];
  });
}

const commentsOf = (lines) => lines.flatMap((line, i) => (isComment(line) ? [[i + 1, line]] : []));

/** Files below a folder that people write. */
function filesIn(folder) {
  return readdirSync(join(root, folder), {withFileTypes: true}).flatMap((entry) => {
    const path = join(folder, entry.name).replaceAll('\\', '/');
    if (entry.isDirectory()) return SKIPPED.test(path) ? [] : filesIn(path);
    return /\.(ts|mjs|cjs|js|md|sh)$|^\.ci\//.test(path) && !LEFT_OUT.test(path) ? [path] : [];
  });
}

let found = 0;
for (const path of filesIn('.')) {
  const lines = readFileSync(join(root, path), 'utf8').split('\n');
  for (const [number, line] of path.endsWith('.md') ? proseOf(lines) : commentsOf(lines)) {
    if (line.length <= WIDTH || !/\s/.test(line.trim().replace(/^(\/\/|\/?\*+|-)\s*/, ''))) continue;
    console.error(`${path}:${number}: ${line.length} columns, at most ${WIDTH}`);
    found++;
  }
}
process.exitCode = found > 0 ? 1 : 0;
