import type {Interrupt} from '../../tools/command/interrupt.js';
import {writeJson} from '../../tools/command/output.js';
import {HELP, parseOptions} from './options.js';
import {runSession} from './session.js';
import {table} from './table.js';

/** The command `npm start`. */
export async function main(argv: string[], interrupt: Interrupt): Promise<void> {
  const options = parseOptions(argv);
  if (options === undefined) {
    console.log(HELP);
    return;
  }
  const result = await runSession(options, interrupt);
  console.log(table(result));
  if (options.json !== undefined) writeJson(options.json, result);
}
