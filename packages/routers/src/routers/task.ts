import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, checkCount, checkInteger, checkOptions, describe} from '@tfjs-peft/kernels';
import {defineRouter} from '../define.js';
import {atEveryPosition, sampleTensor} from '../per-sample.js';
import type {Router, RouterView, Routing} from '../router.js';
import {checkTasks} from '../tasks.js';

/** Config of {@link TaskRouter}. */
export interface TaskRouterConfig {
  type: 'task';
  /** Number of experts, at least 1. */
  experts: number;
  /** The expert of each task. Default: expert i for task i. */
  assign?: number[];
}

const OPTIONS = ['assign'] as const;

/**
 * Routes each sample to the expert of its task. It reads the context's `task` [batch], whole numbers from 0.
 * No weights.
 *
 * @example
 * ```ts
 * import {TaskRouter} from '@tfjs-peft/routers';
 *
 * const router = new TaskRouter({type: 'task', experts: 2, assign: [0, 0, 1]});
 * ```
 */
export class TaskRouter implements Router {
  readonly experts: number;
  readonly normalized = true;
  private readonly assign: number[];

  /** @throws ConfigError if an option is unknown, or `assign` names an expert that does not exist. */
  constructor(config: TaskRouterConfig) {
    const what = 'task router';
    checkOptions(what, config, ['type', 'experts', ...OPTIONS]);
    const experts = checkCount(what, 'experts', config.experts);
    const assign =
      config.assign === undefined ? Array.from({length: experts}, (_, task) => task) : config.assign;
    if (!Array.isArray(assign) || assign.length === 0) {
      throw new ConfigError(
        `${what}: assign is ${describe(assign)}. Set it to a list of experts, one for each task, such as ` +
          '[0, 1, 1].',
      );
    }
    this.experts = experts;
    this.assign = assign.map((expert, task) =>
      checkInteger(what, `assign[${task}]`, expert, {min: 0, max: experts - 1}),
    );
  }

  build(): void {}

  get tasks(): number {
    return this.assign.length;
  }

  /**
   * @throws ConfigError if the context has no task, or an unknown one; ShapeError if its shape does not fit.
   */
  route(view: RouterView): Routing {
    return tf.tidy(() => {
      const task = sampleTensor('task router', 'task', 1, view);
      checkTasks('task router', view.context!.task!, this.tasks);
      const numbers = tf.tensor2d([this.assign.map((_, number) => number)]);
      const known = tf.cast(tf.equal(task, numbers), 'float32');
      // The expert of each sample's task, from 1; 0 if the task is unknown. A table of tasks by experts could
      // be huge.
      const expert = tf.sum(tf.mul(known, tf.tensor1d(this.assign.map((number) => number + 1))), 1, true);
      const gates = tf.cast(tf.equal(expert, tf.range(1, this.experts + 1)), 'float32');
      const everywhere = atEveryPosition(gates as tf.Tensor2D, view.input);
      return {gates: everywhere, probabilities: everywhere};
    });
  }

  getConfig(): TaskRouterConfig {
    return {type: 'task', experts: this.experts, assign: [...this.assign]};
  }
}

defineRouter({
  type: 'task',
  summary: 'one expert a task; tasks are whole numbers from 0, else an error names the sample',
  options: OPTIONS,
  context: ['task'],
  examples: [{type: 'task'}, {type: 'task', assign: [1, 0, 1]}],
  create: (config) => new TaskRouter(config),
});

declare module '../router.js' {
  interface RouterConfigs {
    task: TaskRouterConfig;
  }
}
