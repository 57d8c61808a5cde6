import {spawn} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import type {Backend} from './options.js';

/**
 * The largest difference between the logits in `out` and those that a new process computes from base model, adapter and
 * heads.
 */
export async function reloadDifference(out: string, backend: Backend): Promise<number> {
  const script = fileURLToPath(new URL('./reload.js', import.meta.url));
  const child = spawn(process.execPath, [script, out, backend], {stdio: ['ignore', 'pipe', 'pipe']});
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
