import {SPLITS, type Split} from '../../data/tasks/task.js';
import type {Interrupt} from '../../tools/command/interrupt.js';
import type {Progress} from '../common/progress.js';
import {type EncodedTask, joined} from './corpus.js';
import type {Crew} from './crew.js';

/** Vectors of every split of every task, and what a token costs. */
export interface Features {
  vectors: Record<Split, Float32Array>[];
  secondsPerToken: number;
}

/**
 * Vectors of a split's texts, by task. All tasks go together: the more texts there are, the less
 * padding batches of like length need. The splits do not, so that another process, which has the test
 * texts alone, computes the same bits.
 */
export async function splitVectors(
  crew: Crew,
  tasks: EncodedTask[],
  split: Split,
  onTexts: (count: number) => void,
): Promise<Float32Array[]> {
  const all = await crew.encodeAll(joined(tasks.map((task) => task[split])), onTexts);
  let start = 0;
  return tasks.map((task) => {
    const end = start + task[split].labels.length * crew.width;
    const own = all.subarray(start, end);
    start = end;
    return own;
  });
}

/** Vectors of all texts. */
export async function extractFeatures(
  crew: Crew,
  tasks: EncodedTask[],
  interrupt: Interrupt,
  progress: Progress,
): Promise<Features> {
  const began = performance.now();
  const vectors = tasks.map(() => ({}) as Record<Split, Float32Array>);
  let tokens = 0;
  for (const split of SPLITS) {
    const own = await splitVectors(crew, tasks, split, (count) => {
      progress.advance(count);
      interrupt.check();
    });
    for (const [i, task] of tasks.entries()) {
      vectors[i]![split] = own[i]!;
      tokens += task[split].tokens.reduce((sum, {length}) => sum + length, 0);
    }
  }
  return {vectors, secondsPerToken: (performance.now() - began) / 1000 / tokens};
}
