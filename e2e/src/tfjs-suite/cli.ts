import {writeFileSync} from 'node:fs';
import {parseArgs} from 'node:util';
import {BACKENDS, type Backend} from './bundle.js';
import {runSpecs} from './host.js';
import {compare, table} from './outcome.js';

const USAGE = `npm run tfjs-suite -- --backend ${BACKENDS.join('|')} [--json FILE]`;

async function main(): Promise<void> {
  const {values} = parseArgs({options: {backend: {type: 'string'}, json: {type: 'string'}}});
  if (values.backend === undefined) throw new Error(`name a backend: ${USAGE}`);
  const backend = values.backend as Backend;
  if (!BACKENDS.includes(backend)) {
    throw new Error(`unknown backend ${backend}; known are ${BACKENDS.join(', ')}`);
  }
  // One after the other: a spec may have a time limit.
  const stock = await runSpecs(backend, 'stock');
  const ours = await runSpecs(backend, 'ours');
  const report = compare(backend, stock, ours);
  console.log(table(report, stock, ours));
  if (values.json) writeFileSync(values.json, JSON.stringify(report, null, 1) + '\n');
  if (report.new.length > 0) process.exitCode = 1;
}

main().catch((error) => {
  console.error(`tfjs-suite: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
});
