import type {Split} from '../../data/tasks/task.js';
import {type Head, logitsOf} from '../../tools/probe/linear.js';
import type {EncodedTask} from './corpus.js';
import type {Crew} from './crew.js';
import {splitVectors} from './features.js';

/** Logits of every task's texts of a split, by task. */
export async function splitLogits(
  crew: Crew,
  tasks: EncodedTask[],
  heads: Head[],
  split: Split,
  onTexts: (count: number) => void,
): Promise<Float32Array[]> {
  const vectors = await splitVectors(crew, tasks, split, onTexts);
  return tasks.map((_, i) => logitsOf(heads[i]!, vectors[i]!));
}
