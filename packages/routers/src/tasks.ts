import type {Tensor} from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';

/** The values of task tensors: each tensor is read back once, however many sites use it. */
const read = new WeakMap<Tensor, ArrayLike<number>>();

/**
 * Checks that every entry of `task` is a whole number from 0 to tasks - 1. A tensor is read back once. On a
 * device that cannot be read synchronously (WebGPU in a worker), the check takes effect at the next call with
 * the same tensor.
 *
 * @param what Names the caller in messages.
 * @param task Task numbers of the samples, any numeric dtype.
 * @param tasks The number of tasks.
 * @throws ConfigError that names the first sample with another number.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {checkTasks} from '@tfjs-peft/routers';
 *
 * checkTasks('my router', tf.tensor1d([0, 2, 1]), 3);
 * ```
 */
export function checkTasks(what: string, task: Tensor, tasks: number): void {
  const values = valuesOf(task);
  if (values === undefined) return;
  for (let sample = 0; sample < values.length; sample++) {
    const number = values[sample]!;
    if (Number.isInteger(number) && number >= 0 && number < tasks) continue;
    throw new ConfigError(
      `${what}: the task of sample ${sample} is ${number}, but must be a whole number from 0 to ` +
        `${tasks - 1}. Correct it in the context.`,
    );
  }
}

function valuesOf(task: Tensor): ArrayLike<number> | undefined {
  let values = read.get(task);
  if (values === undefined) {
    try {
      values = task.dataSync();
    } catch {
      // WebGPU in a worker can only be read asynchronously: this batch runs, and the next one sees the
      // values.
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
