import {parseFlags} from '../command/flags.js';
import {checkWritable, writeJson} from '../command/output.js';
import {runCommand} from '../command/run.js';
import {BACKENDS, type Backend} from './bundle.js';
import {runSpecs} from './host.js';
import {compare, table} from './outcome.js';

const USAGE = `npm run tfjs-suite -- --backend ${BACKENDS.join('|')} [--json FILE]`;

const FLAGS = {
  backend: {type: 'string'},
  json: {type: 'string'},
  help: {type: 'boolean', short: 'h'},
} as const;

await runCommand('tfjs-suite', async (argv) => {
  const given = parseFlags(argv, FLAGS);
  if (given.has('help')) {
    console.log(USAGE);
    return;
  }
  const json = given.text('json');
  checkWritable('--json', json);
  const backend = given.text('backend') as Backend | undefined;
  if (backend === undefined) throw new Error(`name a backend: ${USAGE}`);
  if (!BACKENDS.includes(backend)) {
    throw new Error(`unknown backend ${backend}; known are ${BACKENDS.join(', ')}`);
  }
  // One after the other: a spec may have a time limit.
  const stock = await runSpecs(backend, 'stock');
  const ours = await runSpecs(backend, 'ours');
  const report = compare(backend, stock, ours);
  console.log(table(report, stock, ours));
  if (json !== undefined) writeJson(json, report);
  if (report.new.length > 0) process.exitCode = 1;
});
