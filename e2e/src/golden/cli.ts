import {writeFileSync} from 'node:fs';
import {parseArgs} from 'node:util';
import pc from 'picocolors';
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

async function main(): Promise<void> {
  const {values, positionals} = parseArgs({
    allowPositionals: true,
    options: {backend: {type: 'string', default: 'wasm'}, json: {type: 'string'}},
  });
  if (positionals.length === 0) throw new Error(`name at least one folder: ${USAGE}`);
  const report = await run(values.backend, positionals);
  const width = Math.max(4, ...report.cases.map(({id}) => id.length));
  console.log(
    `     ${'case'.padEnd(width)} ${'system'.padEnd(8)} ${'forward'.padEnd(9)} ${'grad'.padEnd(9)}`,
  );
  for (const result of report.cases) console.log(line(result, width));
  const foreign = report.cases.filter(isNotExpressible).length;
  const ofWhich = foreign > 0 ? `, of which ${foreign} not expressible` : '';
  console.log(`${report.backend}: ${report.passed} passed, ${report.failed} failed${ofWhich}`);
  if (values.json) writeFileSync(values.json, JSON.stringify(report, null, 1) + '\n');
  if (report.failed > foreign) process.exitCode = 1;
}

main().catch((error) => {
  console.error(`golden: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
});
