import {Interrupted} from './interrupt.js';
import {oneLine} from './one-line.js';

/**
 * Runs a command: whatever goes wrong is one line on stderr, and the exit code is true.
 *
 * @param name what stands before an error.
 * @param main gets the arguments.
 */
export async function runCommand(name: string, main: (argv: string[]) => Promise<void>): Promise<void> {
  const fail = (error: unknown) => {
    const interrupted = error instanceof Interrupted;
    process.stderr.write(interrupted ? `\n${error.message}\n` : `${name}: ${oneLine(error)}\n`);
    process.exitCode = interrupted ? error.exitCode : 1;
  };
  const failAtOnce = (error: unknown) => {
    fail(error);
    process.exit();
  };
  process.on('uncaughtException', failAtOnce);
  // A reader that has gone (`| head`) is no failure, a disk that is full is one.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    error.code === 'EPIPE' ? process.exit() : failAtOnce(error),
  );
  process.stderr.on('error', () => {});
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    fail(error);
  }
}
