/** Last module in Node: writes the outcome where the parent process asked for it. */
import {writeFileSync} from 'node:fs';
import type {HostArguments} from '../host.js';
import type {Outcome} from '../outcome.js';

const {outcome} = globalThis as unknown as {outcome: Promise<Outcome>};
void outcome.then((result) => {
  writeFileSync((JSON.parse(process.argv[2]!) as HostArguments).result, JSON.stringify(result));
  // Dawn and some specs leave timers behind.
  process.exit(0);
});
