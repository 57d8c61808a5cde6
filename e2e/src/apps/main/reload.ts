// A second process: base model, adapter and heads from disk, then the same test texts again.
// Usage: node reload.js OUT BACKEND; prints {"maxDiff": ...}.

import {oneLine} from '../../tools/command/one-line.js';
import {logitsOf} from '../../tools/probe/linear.js';
import {useBackend} from '../common/backend.js';
import type {Backend} from '../common/options.js';
import {contextNeeds, needsVectors, textContexts} from './context.js';
import type {TextContext} from './corpus.js';
import {Crew} from './crew.js';
import {adapterFolder, readHeads, readPredictions, type SavedHeads} from './saved.js';

/** Any seed but the run's: what is loaded must not depend on how the adapter started. */
const OTHER_SEED = 987654321;

async function largestDifference(out: string, backend: Backend): Promise<number> {
  await useBackend(backend);
  const {about, heads, centroids} = readHeads(out);
  const saved = readPredictions(out);
  const crew = await Crew.gather(about, backend);
  const tokens = saved.flatMap(({texts}) =>
    texts.map((text) => Int32Array.from(crew.encoder.tokenize(text).slice(0, about.maxTokens))),
  );
  const context = await contextsOf(
    crew,
    about,
    saved.map(({texts}) => texts.length),
    tokens,
    centroids,
  );
  await crew.adapt(about.adapter, OTHER_SEED, heads);
  await crew.load(adapterFolder(out));
  const vectors = await crew.encodeAll({tokens, ...(context.length > 0 && {context})});
  let difference = 0;
  let start = 0;
  saved.forEach(({texts, logits}, i) => {
    const end = start + texts.length * crew.width;
    const again = logitsOf(heads[i]!, vectors.subarray(start, end));
    for (let k = 0; k < logits.length; k++)
      difference = Math.max(difference, Math.abs(again[k]! - logits[k]!));
    start = end;
  });
  return difference;
}

/** What the texts bring along, from the frozen model's vectors. `counts` are the texts of each task. */
async function contextsOf(
  crew: Crew,
  {adapter}: SavedHeads,
  counts: number[],
  tokens: Int32Array[],
  centroids: Float32Array | undefined,
): Promise<TextContext[]> {
  const needs = contextNeeds(adapter, crew.width);
  if (Object.keys(needs).length === 0) return [];
  const vectors = needsVectors(needs) ? await crew.encodeAll({tokens}) : undefined;
  let start = 0;
  return counts.flatMap((count, task) => {
    const end = start + count * crew.width;
    const own = textContexts(needs, task, count, vectors?.subarray(start, end), centroids);
    start = end;
    return own;
  });
}

try {
  const [out, backend] = process.argv.slice(2) as [string, Backend];
  console.log(JSON.stringify({maxDiff: await largestDifference(out, backend)}));
} catch (error) {
  process.stderr.write(`error: ${oneLine(error)}\n`);
  process.exitCode = 1;
}
