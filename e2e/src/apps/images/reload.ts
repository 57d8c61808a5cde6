// A second process: base model, adapter and head from disk, then the same test pictures again.
// Usage: node reload.js OUT; prints {"maxDiff": ...}.
import {oneLine} from '../../tools/command/one-line.js';
import {logitsOf} from '../../tools/probe/linear.js';
import {useBackend} from '../common/backend.js';
import {ImageEncoder} from './encoder.js';
import {readImagesFolder} from './folder.js';
import {AS_IT_IS} from './render.js';
import {adapterFolder, readRun} from './saved.js';
import {builtinSource, Decoder, splitSource} from './tasks.js';

/** Any seed but the run's: what is loaded must not depend on how the adapter started. */
const OTHER_SEED = 987654321;

async function largestDifference(out: string): Promise<number> {
  const {about, head, logits} = readRun(out);
  await useBackend(about.backend);
  const source =
    about.imagesDir === undefined
      ? builtinSource(about.task)
      : readImagesFolder(about.imagesDir, false, () => {});
  const {test} = new Decoder().task(source, splitSource(source, about.limits, about.seed), ['test']);
  const encoder = await ImageEncoder.load();
  const peft = await encoder.upgrade(about.adapter, OTHER_SEED);
  await peft.load(adapterFolder(out));
  const nothing = async () => {};
  const front = await encoder.front(test.pictures, () => AS_IT_IS, nothing);
  const again = logitsOf(head, await encoder.vectors(front, nothing));
  return again.reduce((most, value, i) => Math.max(most, Math.abs(value - logits[i]!)), 0);
}

try {
  console.log(JSON.stringify({maxDiff: await largestDifference(process.argv[2]!)}));
} catch (error) {
  process.stderr.write(`error: ${oneLine(error)}\n`);
  process.exitCode = 1;
}
