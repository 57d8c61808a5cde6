import {writeFileSync} from 'node:fs';
import {parseArgs} from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import {BACKENDS, needsPage} from '../golden/backend.js';
import {runInChromium} from './chromium.js';
import {machine} from './machine.js';
import {type BenchReport, fewestRounds, table} from './report.js';
import {runSuite, SUITES} from './run.js';

const USAGE = `npm run bench -- ${Object.keys(SUITES).join('|')} [--backend ${BACKENDS}] [--cases REGEX] [--threads N] [--size ROWSxWIDTH] [--rounds N] [--warmup N] [--json FILE]`;

function count(option: string, value: string | undefined, least: number): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!Number.isInteger(number) || number < least) {
    throw new Error(`--${option} is ${value}; give a whole number, ${least} or more`);
  }
  return number;
}

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
  return [Number(rows), Number(width)];
}

async function main(): Promise<void> {
  const {values, positionals} = parseArgs({
    allowPositionals: true,
    options: {
      backend: {type: 'string', default: 'wasm'},
      threads: {type: 'string'},
      cases: {type: 'string'},
      size: {type: 'string'},
      rounds: {type: 'string'},
      warmup: {type: 'string'},
      json: {type: 'string'},
    },
  });
  const [suite = ''] = positionals;
  if (!Object.hasOwn(SUITES, suite) || positionals.length > 1) throw new Error(`name one suite: ${USAGE}`);
  const progress = process.stderr.isTTY;
  const {rows, gpu} = await (needsPage(values.backend) ? runInChromium : runSuite)(suite, {
    backend: values.backend,
    threads: count('threads', values.threads, 1),
    cases: regex(values.cases),
    size: sizeOf(values.size),
    rounds: count('rounds', values.rounds, 1),
    warmup: count('warmup', values.warmup, 0),
    onRow: (row) => {
      if (progress) process.stderr.write(`\r\x1b[K${row.case} ${row.metric}`);
    },
  });
  if (progress) process.stderr.write('\r\x1b[K');
  if (rows.length === 0) throw new Error(`no case of ${suite} matches ${values.cases}`);
  const report: BenchReport = {
    suite,
    backend: values.backend,
    machine: machine(gpu),
    rounds: fewestRounds(rows),
    rows,
  };
  console.log(table(report));
  if (values.json) writeFileSync(values.json, JSON.stringify(report, null, 1) + '\n');
  // Its threads would go on waiting for work.
  if (values.threads !== undefined) tf.removeBackend('wasm');
}

main().catch((error) => {
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
});
