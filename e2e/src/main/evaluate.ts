import type {Split} from '../tasks/task.js';
import type {EncodedTask} from './corpus.js';
import type {Crew} from './crew.js';
import {type Head, logitsOf} from './linear.js';

/** Logits of every task's texts of a split, by task. */
export async function splitLogits(
  crew: Crew,
  tasks: EncodedTask[],
  heads: Head[],
  split: Split,
  onTexts: (count: number) => void,
): Promise<Float32Array[]> {
  const vectors = await crew.encodeAll(
    tasks.flatMap((task) => task[split].tokens),
    onTexts,
  );
  let start = 0;
  return tasks.map((task, i) => {
    const end = start + task[split].labels.length * crew.width;
    const logits = logitsOf(heads[i]!, vectors.subarray(start, end));
    start = end;
    return logits;
  });
}
