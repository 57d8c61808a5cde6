import type {Tensor} from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';

/** What was read of tensors of task numbers: each is read back once, however many sites look at it and however often. */
const read = new WeakMap<Tensor, ArrayLike<number>>();

/**
 * Checks the numbers of the samples' tasks.
 *
 * @param tasks How many tasks there are.
 * @throws ConfigError unless all are whole numbers from 0 to tasks - 1; it names the first sample that has another.
 */
export function checkTasks(what: string, task: Tensor, tasks: number): void {
  const values = valuesOf(task);
  if (values === undefined) return;
  for (let sample = 0; sample < values.length; sample++) {
    const number = values[sample]!;
    if (Number.isInteger(number) && number >= 0 && number < tasks) continue;
    throw new ConfigError(
      `${what}: the task of sample ${sample} is ${number}, but must be a whole number from 0 to ${tasks - 1}. Correct it in the context.`,
    );
  }
}

function valuesOf(task: Tensor): ArrayLike<number> | undefined {
  let values = read.get(task);
  if (values === undefined) {
    try {
      values = task.dataSync();
    } catch {
      // A GPU that can only be read asynchronously, as WebGPU in a worker: the batch runs, and the next one meets what comes back.
      task.data().then(
        (late) => read.set(task, late),
        () => {},
      );
      return undefined;
    }
    read.set(task, values);
  }
  return values;
}
