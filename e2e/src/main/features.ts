import {SPLITS, type Split} from '../tasks/task.js';
import type {EncodedTask} from './corpus.js';
import type {Crew} from './crew.js';
import type {Interrupt} from './interrupt.js';
import type {Progress} from './progress.js';

/** Vectors of every split of every task, and what a token costs. */
export interface Features {
  vectors: Record<Split, Float32Array>[];
  secondsPerToken: number;
}

/** Sentence vectors of all texts in one go: the more texts there are, the less padding batches of like length need. */
export async function extractFeatures(
  crew: Crew,
  tasks: EncodedTask[],
  interrupt: Interrupt,
  progress: Progress,
): Promise<Features> {
  const tokens = tasks.flatMap((task) => SPLITS.flatMap((split) => task[split].tokens));
  const began = performance.now();
  const all = await crew.encodeAll(tokens, (count) => {
    progress.advance(count);
    interrupt.check();
  });
  const seconds = (performance.now() - began) / 1000;
  let start = 0;
  const vectors = tasks.map((task) => {
    const own = {} as Record<Split, Float32Array>;
    for (const split of SPLITS) {
      const end = start + task[split].labels.length * crew.width;
      own[split] = all.subarray(start, end);
      start = end;
    }
    return own;
  });
  return {vectors, secondsPerToken: seconds / tokens.reduce((sum, {length}) => sum + length, 0)};
}
