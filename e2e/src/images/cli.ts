import {Interrupt} from '../command/interrupt.js';
import {runCommand} from '../command/run.js';

const interrupt = Interrupt.listen();
await runCommand('error', async (argv) => {
  const {main} = await import('./main.js');
  await main(argv, interrupt);
});
