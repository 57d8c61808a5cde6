import {spawn} from 'node:child_process';
import {fileURLToPath} from 'node:url';

/**
 * The largest difference between the logits that a run has saved and those that a new process computes from
 * base model, adapter and heads.
 *
 * @param script what the process runs; it prints `{"maxDiff": ...}`.
 */
export async function reloadDifference(script: URL, args: string[]): Promise<number> {
  const child = spawn(process.execPath, [fileURLToPath(script), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (code !== 0)
    throw new Error(`the reloading process failed: ${errors.trim().split('\n').at(-1) ?? `exit ${code}`}`);
  return (JSON.parse(output.trim().split('\n').at(-1)!) as {maxDiff: number}).maxDiff;
}
