import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, describe, matMul} from '@tfjs-peft/kernels';
import {checkCount, checkInteger, checkNumber, checkOptions, checkPositive} from './options.js';
import {atEveryPosition, sampleTensor} from './per-sample.js';
import type {Router, RouterView, Routing} from './router.js';
import {checkTasks} from './tasks.js';
import type {AddWeight, Weight} from './weights.js';

/** Config of {@link IntuitionRouter}. */
export interface IntuitionRouterConfig {
  type: 'intuition';
  /** Number of experts, one for each cluster of the intuition. */
  experts: number;
  /** Divides the scores. Default 1. */
  temperature?: number;
}

/**
 * Gates from each sample's scores against the clusters of an intuition, softmax(scores / temperature), the same for all its tokens;
 * context `intuition` [batch, experts]. The scores are those of MoR1E (arXiv 2404.08985; see `fitIntuition`); the softmax, which
 * makes gates of them where there is nothing else to mix them with, is ours. No weights.
 */
export class IntuitionRouter implements Router {
  readonly experts: number;
  readonly normalized = true;
  private readonly temperature: number;

  /** @throws ConfigError if an option is unknown or out of range. */
  constructor(config: IntuitionRouterConfig) {
    const what = 'intuition router';
    checkOptions(what, config, ['type', 'experts', 'temperature']);
    this.experts = checkCount(what, 'experts', config.experts);
    this.temperature = checkPositive(what, 'temperature', config.temperature, 1);
  }

  build(): void {}

  /** @throws ConfigError if the batch brings no intuition; ShapeError if it does not fit. */
  route(view: RouterView): Routing {
    return tf.tidy(() => {
      const scores = sampleTensor('intuition router', 'intuition', this.experts, view);
      const gates = atEveryPosition(tf.softmax(tf.div(scores, this.temperature)) as tf.Tensor2D, view.input);
      return {gates, probabilities: gates};
    });
  }

  getConfig(): IntuitionRouterConfig {
    return {type: 'intuition', experts: this.experts, temperature: this.temperature};
  }
}

/** Config of {@link SentenceRouter}. */
export interface SentenceRouterConfig {
  type: 'sentence';
  /** Number of experts, at least 1. */
  experts: number;
  /** Width of the sentence embedding. */
  width: number;
  /** Divides the logits. Default 1. */
  temperature?: number;
}

/**
 * The sentence router of MoV's ablation (Zadouri et al., arXiv 2309.05444): one decision for all tokens of a sample, softmax(s W /
 * temperature) of its sentence embedding s; context `sentence` [batch, width]. Weight `router` W [width, experts] from N(0, 0.02²).
 */
export class SentenceRouter implements Router {
  readonly experts: number;
  readonly normalized = true;
  private readonly config: Required<SentenceRouterConfig>;
  private kernel!: Weight;

  /** @throws ConfigError if an option is unknown or out of range. */
  constructor(config: SentenceRouterConfig) {
    const what = 'sentence router';
    checkOptions(what, config, ['type', 'experts', 'width', 'temperature']);
    this.experts = checkCount(what, 'experts', config.experts);
    this.config = {
      type: 'sentence',
      experts: this.experts,
      width: checkCount(what, 'width', config.width),
      temperature: checkPositive(what, 'temperature', config.temperature, 1),
    };
  }

  build(_inputDim: number, add: AddWeight): void {
    this.kernel = add('router', [this.config.width, this.experts], {type: 'normal', stddev: 0.02});
  }

  /** @throws ConfigError if the batch brings no sentence embedding; ShapeError if it does not fit. */
  route(view: RouterView): Routing {
    return tf.tidy(() => {
      const sentence = sampleTensor('sentence router', 'sentence', this.config.width, view);
      const logits = tf.div(matMul(sentence, this.kernel.read()), this.config.temperature);
      const gates = atEveryPosition(tf.softmax(logits) as tf.Tensor2D, view.input);
      return {gates, probabilities: gates};
    });
  }

  getConfig(): SentenceRouterConfig {
    return {...this.config};
  }
}

/** Config of {@link TaskRouter}. */
export interface TaskRouterConfig {
  type: 'task';
  /** Number of experts, at least 1. */
  experts: number;
  /** The expert of each task. Default: task i has expert i. */
  assign?: number[];
}

/** One expert for each sample, by the number of its task; context `task` [batch], whole numbers from 0. No weights. */
export class TaskRouter implements Router {
  readonly experts: number;
  readonly normalized = true;
  private readonly assign: number[];

  /** @throws ConfigError if an option is unknown, or a task's expert is none. */
  constructor(config: TaskRouterConfig) {
    const what = 'task router';
    checkOptions(what, config, ['type', 'experts', 'assign']);
    const experts = checkCount(what, 'experts', config.experts);
    const assign =
      config.assign === undefined ? Array.from({length: experts}, (_, task) => task) : config.assign;
    if (!Array.isArray(assign) || assign.length === 0) {
      throw new ConfigError(`${what}: assign must be a list of experts, one for each task.`);
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

  /** @throws ConfigError if the batch brings no task, or one that there is not; ShapeError if it does not fit. */
  route(view: RouterView): Routing {
    return tf.tidy(() => {
      const task = sampleTensor('task router', 'task', 1, view);
      checkTasks('task router', view.context!.task!, this.tasks);
      const numbers = tf.tensor2d([this.assign.map((_, number) => number)]);
      const known = tf.cast(tf.equal(task, numbers), 'float32');
      // The expert of each sample's task, counted from 1; 0 where the task is unknown. A table of tasks by experts could be huge.
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

/** Config of {@link FixedRouter}. */
export interface FixedRouterConfig {
  type: 'fixed';
  /** Number of experts, at least 1. */
  experts: number;
  /** The gate of each expert. Default: 1 / experts each. */
  gates?: number[];
}

/** The same gates for every token: a plain average of the experts, or one of them. No weights. */
export class FixedRouter implements Router {
  readonly experts: number;
  readonly normalized: boolean;
  private readonly gates: number[];

  /** @throws ConfigError if an option is unknown, or there is not one finite gate for each expert. */
  constructor(config: FixedRouterConfig) {
    const what = 'fixed router';
    checkOptions(what, config, ['type', 'experts', 'gates']);
    const experts = checkCount(what, 'experts', config.experts);
    const gates =
      config.gates === undefined ? Array.from({length: experts}, () => 1 / experts) : config.gates;
    if (!Array.isArray(gates) || gates.length !== experts || !gates.every(Number.isFinite)) {
      throw new ConfigError(
        `${what}: gates is ${describe(gates)}, but must be ${experts} finite numbers, one for each expert.`,
      );
    }
    this.experts = experts;
    this.gates = gates.map((gate: number) => checkNumber(what, 'an entry of gates', gate, {}));
    this.normalized = Math.abs(gates.reduce((sum, gate) => sum + gate, 0) - 1) < 1e-6;
  }

  build(): void {}

  route({input}: RouterView): Routing {
    return tf.tidy(() => {
      const gates = atEveryPosition(tf.tensor2d(this.gates, [1, this.experts]), input);
      return {gates, probabilities: gates};
    });
  }

  getConfig(): FixedRouterConfig {
    return {type: 'fixed', experts: this.experts, gates: [...this.gates]};
  }
}
