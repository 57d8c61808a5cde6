import pc from 'picocolors';
import {parseFlags} from '../command/flags.js';
import {checkWritable, writeJson} from '../command/output.js';
import {runCommand} from '../command/run.js';
import {BACKENDS, checkBackend, needsPage, useBackend} from './backend.js';
import {goldenInChromium} from './chromium.js';
import {type CaseResult, casesIn, type GoldenReport, isNotExpressible, runCases} from './run.js';

const USAGE = `npm run golden -- DIR [DIR...] [--backend ${BACKENDS}] [--json FILE]`;

function line({id, system, forward, grad, ok, why}: CaseResult, width: number): string {
  const figure = (value: number | null) => (value === null ? '-' : value.toExponential(1)).padEnd(9);
  return `${ok ? pc.green('ok  ') : pc.red('FAIL')} ${id.padEnd(width)} ${system.padEnd(8)} ${figure(forward)} ${figure(grad)} ${why}`;
}

async function run(backend: string, folders: string[]): Promise<GoldenReport> {
  if (needsPage(backend)) return goldenInChromium(backend, casesIn(folders));
  await useBackend(backend);
  const report = await runCases(casesIn(folders));
  checkBackend();
  return report;
}

const FLAGS = {
  backend: {type: 'string'},
  json: {type: 'string'},
  help: {type: 'boolean', short: 'h'},
} as const;

await runCommand('golden', async (argv) => {
  const given = parseFlags(argv, FLAGS, {positionals: true});
  if (given.has('help')) {
    console.log(USAGE);
    return;
  }
  const {positionals} = given;
  const json = given.text('json');
  checkWritable('--json', json);
  if (positionals.length === 0) throw new Error(`name at least one folder: ${USAGE}`);
  const report = await run(given.text('backend') ?? 'wasm', positionals);
  const width = Math.max(4, ...report.cases.map(({id}) => id.length));
  console.log(
    `     ${'case'.padEnd(width)} ${'system'.padEnd(8)} ${'forward'.padEnd(9)} ${'grad'.padEnd(9)}`,
  );
  for (const result of report.cases) console.log(line(result, width));
  const foreign = report.cases.filter(isNotExpressible).length;
  const ofWhich = foreign > 0 ? `, of which ${foreign} not expressible` : '';
  console.log(`${report.backend}: ${report.passed} passed, ${report.failed} failed${ofWhich}`);
  if (json !== undefined) writeJson(json, report);
  if (report.failed > 0) process.exitCode = 1;
});
