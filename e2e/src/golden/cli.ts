import {writeFileSync} from 'node:fs';
import {parseArgs} from 'node:util';
import pc from 'picocolors';
import {BACKENDS, checkBackend, useBackend} from './backend.js';
import {type CaseResult, runGolden} from './run.js';

const USAGE = `npm run golden -- DIR [DIR...] [--backend ${BACKENDS}] [--json FILE]`;

function line({id, system, forward, grad, ok, why}: CaseResult, width: number): string {
  const figure = (value: number | null) => (value === null ? '-' : value.toExponential(1)).padEnd(9);
  return `${ok ? pc.green('ok  ') : pc.red('FAIL')} ${id.padEnd(width)} ${system.padEnd(8)} ${figure(forward)} ${figure(grad)} ${why}`;
}

async function main(): Promise<void> {
  const {values, positionals} = parseArgs({
    allowPositionals: true,
    options: {backend: {type: 'string', default: 'wasm'}, json: {type: 'string'}},
  });
  if (positionals.length === 0) throw new Error(`name at least one folder: ${USAGE}`);
  await useBackend(values.backend);
  const report = await runGolden(positionals);
  checkBackend();
  const width = Math.max(4, ...report.cases.map(({id}) => id.length));
  console.log(
    `     ${'case'.padEnd(width)} ${'system'.padEnd(8)} ${'forward'.padEnd(9)} ${'grad'.padEnd(9)}`,
  );
  for (const result of report.cases) console.log(line(result, width));
  console.log(`${report.backend}: ${report.passed} passed, ${report.failed} failed`);
  if (values.json) writeFileSync(values.json, JSON.stringify(report, null, 1) + '\n');
}

main().catch((error) => {
  console.error(`golden: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
});
