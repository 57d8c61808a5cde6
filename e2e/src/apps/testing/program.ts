import {spawn} from 'node:child_process';

export interface Ended {
  code: number | null;
  output: string;
  errors: string;
}

/**
 * Runs a script in a process of its own.
 *
 * @param signalAt sends a signal as soon as the pattern shows up in its progress.
 */
export function runScript(
  script: string,
  args: string[],
  {
    signalAt,
    signal = 'SIGINT',
    node = [],
  }: {signalAt?: RegExp; signal?: NodeJS.Signals; node?: string[]} = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...node, script, ...args]);
    const ended: Ended = {code: null, output: '', errors: ''};
    let waiting = signalAt;
    child.stdout.on('data', (chunk) => {
      ended.output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      ended.errors += chunk;
      if (waiting?.test(ended.errors)) {
        waiting = undefined;
        child.kill(signal);
      }
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({...ended, code}));
  });
}
