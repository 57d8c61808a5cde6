import {runCommand} from '../command/run.js';

await runCommand('error', async (argv, interrupt) => {
  const {main} = await import('./main.js');
  await main(argv, interrupt);
});
