import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {runCommand} from '../command/run.js';
import {pages, withTables} from './tables.js';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

await runCommand('tables', async () => {
  for (const page of pages(ROOT)) {
    const path = join(ROOT, page);
    const before = readFileSync(path, 'utf8');
    const after = withTables(before);
    if (after !== before) writeFileSync(path, after);
    console.log(`${page}: ${after === before ? 'is fresh' : 'written'}`);
  }
});
