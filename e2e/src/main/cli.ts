import {writeWhole} from './files.js';
import {Interrupt, Interrupted} from './interrupt.js';
import {oneLine} from './one-line.js';
import {HELP, parseOptions} from './options.js';
import {runSession} from './session.js';
import {table} from './table.js';

const INTERRUPTED = 130;

const interrupt = new Interrupt();
process.once('SIGINT', () => {
  interrupt.request();
  // A second Ctrl-C is for somebody who cannot wait for the step to end; the last whole checkpoint stays.
  process.once('SIGINT', () => process.exit(INTERRUPTED));
});

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) {
    console.log(HELP);
  } else {
    const result = await runSession(options, interrupt);
    console.log(table(result));
    if (options.json !== undefined) writeWhole(options.json, `${JSON.stringify(result, null, 2)}\n`);
  }
} catch (error) {
  if (error instanceof Interrupted) {
    process.stderr.write('\ninterrupted; go on with --resume\n');
    process.exitCode = INTERRUPTED;
  } else {
    process.stderr.write(`${oneLine(error)}\n`);
    process.exitCode = 1;
  }
}
