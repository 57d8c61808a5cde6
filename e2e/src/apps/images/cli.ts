import {Interrupt} from '../../tools/command/interrupt.js';
import {runCommand} from '../../tools/command/run.js';

const interrupt = Interrupt.listen();
await runCommand('error', async (argv) => {
  const {main} = await import('./main.js');
  await main(argv, interrupt);
});
