import * as tf from '@tensorflow/tfjs-core';
import {parseFlags} from '../command/flags.js';
import {checkWritable, writeJson} from '../command/output.js';
import {runCommand} from '../command/run.js';
import {BACKENDS, needsPage} from '../golden/backend.js';
import {runInChromium} from './chromium.js';
import {machine} from './machine.js';
import {type BenchReport, fewestRounds, table} from './report.js';
import {runSuite, SUITES} from './run.js';

const USAGE = `npm run bench -- ${Object.keys(SUITES).join('|')} [--backend ${BACKENDS}] [--cases REGEX] [--threads N] [--size ROWSxWIDTH] [--rounds N] [--warmup N] [--json FILE]
       npm run bench -- quant --tasks [--cases REGEX] [--json FILE]: what quantisers do to real tasks; takes an hour`;

function regex(pattern: string | undefined): RegExp | undefined {
  try {
    return pattern === undefined ? undefined : new RegExp(pattern);
  } catch {
    throw new Error(`--cases ${pattern} is not a regular expression`);
  }
}

function sizeOf(text: string | undefined): [number, number] | undefined {
  if (text === undefined) return undefined;
  const [, rows, width] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  if (!Number(rows) || !Number(width)) throw new Error(`--size is ${text}; give it as 256x768`);
  if (Number(rows) * Number(width) > MOST.numbers) {
    throw new Error(`--size is ${text}; give one of ${MOST.numbers} numbers at most`);
  }
  return [Number(rows), Number(width)];
}

const FLAGS = {
  backend: {type: 'string'},
  threads: {type: 'string'},
  cases: {type: 'string'},
  size: {type: 'string'},
  rounds: {type: 'string'},
  warmup: {type: 'string'},
  json: {type: 'string'},
  tasks: {type: 'boolean'},
  help: {type: 'boolean', short: 'h'},
} as const;

/** The largest values that make sense. */
const MOST = {threads: 256, rounds: 1e6, numbers: 2 ** 26};

await runCommand('bench', async (argv) => {
  const given = parseFlags(argv, FLAGS, {positionals: true});
  if (given.has('help')) {
    console.log(USAGE);
    return;
  }
  const {positionals} = given;
  const backend = given.text('backend') ?? 'wasm';
  const json = given.text('json');
  checkWritable('--json', json);
  const [suite = ''] = positionals;
  if (!Object.hasOwn(SUITES, suite) || positionals.length > 1) throw new Error(`name one suite: ${USAGE}`);
  const tasks = given.has('tasks');
  if (tasks && (suite !== 'quant' || needsPage(backend)))
    throw new Error('--tasks: for the quant suite, on a backend that Node has; leave it out');
  const progress = process.stderr.isTTY;
  const {rows, gpu} = await (needsPage(backend) ? runInChromium : runSuite)(suite, {
    backend,
    tasks,
    threads: given.count('threads', MOST.threads),
    cases: regex(given.text('cases')),
    size: sizeOf(given.text('size')),
    rounds: given.count('rounds', MOST.rounds),
    warmup: given.text('warmup') === '0' ? 0 : given.count('warmup', MOST.rounds),
    onRow: (row) => {
      if (progress) process.stderr.write(`\r\x1b[K${row.case} ${row.metric}`);
    },
  });
  if (progress) process.stderr.write('\r\x1b[K');
  if (rows.length === 0) throw new Error(`no case of ${suite} matches ${given.text('cases')}`);
  const report: BenchReport = {
    suite,
    backend,
    machine: machine(gpu),
    rounds: fewestRounds(rows),
    rows,
  };
  console.log(table(report));
  if (json !== undefined) writeJson(json, report);
  // Its threads would go on waiting for work.
  if (given.has('threads')) tf.removeBackend('wasm');
});
