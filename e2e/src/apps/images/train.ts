import * as tf from '@tensorflow/tfjs-core';
import type {Peft} from '@tfjs-peft/layers';
import {InputError} from '../../data/input-error.js';
import {random, shuffled} from '../../data/tasks/random.js';
import {accuracyOf, crossEntropyOf, type Head, logitsOf} from '../../tools/probe/linear.js';
import {type HeadVariables, headVariables, lossOf} from '../common/heads.js';
import {Parameters} from '../common/parameters.js';
import type {Baseline} from './baseline.js';
import type {ImageEncoder} from './encoder.js';
import type {Fronts} from './features.js';
import type {ImageTask} from './tasks.js';
import type {Work} from './work.js';

/** Largest norm of a step's gradient. */
const CLIP = 1;
const WARM_UP = 20;
/** The head is good already: it moves at a tenth of the adapter's rate. */
const HEAD_SHARE = 0.1;
/**
 * What counts is a mean of the last values (Izmailov et al. 2018, arXiv:1803.05407), for few
 * pictures make every step a leap.
 */
const MEMORY = 0.98;
/** What a picture costs in training, and in validation, against one through the whole model. */
export const TRAINING_COST = 1.2;
export const VALIDATION_COST = 0.5;

/**
 * What training found: an epoch of one learning rate. Epoch 0 is the probe's own head
 * before an adapter that does nothing.
 */
export interface Candidate {
  epoch: number;
  rate: number;
  accuracy: number;
  loss: number;
  /** All parameters: the adapter's, and the head's two. */
  values: Float32Array[];
}

/** More pictures right, or as many with less loss. */
const isBetter = (a: Candidate, b: Candidate) =>
  a.accuracy > b.accuracy || (a.accuracy === b.accuracy && a.loss < b.loss);

/** An adapter and a head in training. */
export class Trainer {
  private constructor(
    private readonly encoder: ImageEncoder,
    private readonly task: ImageTask,
    private readonly fronts: Fronts,
    private readonly baseline: Baseline,
    private readonly head: HeadVariables,
    private readonly variables: tf.Variable[],
    private readonly start: Float32Array[],
  ) {}

  static async create(
    encoder: ImageEncoder,
    peft: Peft,
    task: ImageTask,
    fronts: Fronts,
    baseline: Baseline,
  ): Promise<Trainer> {
    const head = headVariables(baseline.head);
    const variables = [...peft.trainableVariables(), head.kernel, head.bias];
    const start = await Promise.all(variables.map(async (own) => Float32Array.from(await own.data())));
    return new Trainer(encoder, task, fronts, baseline, head, variables, start);
  }

  dispose(): void {
    tf.dispose([this.head.kernel, this.head.bias]);
  }

  /** Parameters of the adapter and of the head. */
  get sizes(): {adapter: number; head: number} {
    const head = this.head.kernel.size + this.head.bias.size;
    return {adapter: this.start.reduce((sum, {length}) => sum + length, 0) - head, head};
  }

  assign(values: Float32Array[]): void {
    this.variables.forEach((variable, i) => {
      const tensor = tf.tensor(values[i]!, variable.shape, 'float32');
      variable.assign(tensor);
      tensor.dispose();
    });
  }

  /** The head among the values of all parameters. */
  headOf(values: Float32Array[]): Head {
    return {kernel: values.at(-2)!, bias: values.at(-1)!};
  }

  /** The best epoch of any of the rates, for validation. */
  async best(rates: number[], epochs: number, batch: number, seed: number, work: Work): Promise<Candidate> {
    let best = await this.validated({epoch: 0, rate: rates[0]!, values: this.start}, work);
    for (const rate of rates) best = await this.trained(rate, epochs, batch, seed, best, work);
    return best;
  }

  private async validated(own: Pick<Candidate, 'epoch' | 'rate' | 'values'>, work: Work): Promise<Candidate> {
    this.assign(own.values);
    const {labels} = this.task.validation;
    const vectors = await this.encoder.vectors(this.fronts.validation, (count) =>
      work.did(VALIDATION_COST * count, `rate ${own.rate}, epoch ${own.epoch}`),
    );
    const logits = logitsOf(this.headOf(own.values), vectors);
    if (!logits.every(Number.isFinite)) throw diverged(own.rate, own.epoch);
    const classes = this.task.classes.length;
    return {
      ...own,
      accuracy: accuracyOf(logits, labels, classes),
      loss: crossEntropyOf(logits, labels, classes),
    };
  }

  /** Trains from the start at one rate; gives the best epoch, or what was the best before. */
  private async trained(
    rate: number,
    epochs: number,
    batch: number,
    seed: number,
    before: Candidate,
    work: Work,
  ): Promise<Candidate> {
    const {variables, start, task} = this;
    const starts = start.map((values, i) => ({name: `${i}`, shape: variables[i]!.shape, values}));
    const parameters = new Parameters(starts, (name) => (Number(name) < start.length - 2 ? 1 : HEAD_SHARE));
    const mean = start.map((values) => values.slice());
    const count = task.train.labels.length;
    const steps = epochs * Math.ceil(count / batch);
    const next = random(seed, `order of ${task.name}`);
    let best = before;
    let step = 0;
    this.assign(start);
    for (let epoch = 1; epoch <= epochs; epoch++) {
      const order = shuffled([...Array(count).keys()], next);
      let sum = 0;
      for (let at = 0; at < count; at += batch) {
        const rows = order.slice(at, at + batch);
        const copies = rows.map(() => Math.floor(next() * this.fronts.views.length));
        const {loss, gradients} = await this.gradients(rows, copies, parameters.values);
        const share = step < WARM_UP ? (step + 1) / WARM_UP : 0.5 * (1 + Math.cos((Math.PI * step) / steps));
        if (!parameters.update(gradients, rate * share, CLIP) || !Number.isFinite(loss))
          throw diverged(rate, epoch);
        sum += loss * rows.length;
        step++;
        this.assign(parameters.values);
        remember(mean, parameters.values, step);
        await work.did(TRAINING_COST * rows.length, `rate ${rate}, epoch ${epoch}, loss ${loss.toFixed(3)}`);
      }
      const candidate = await this.validated(
        {epoch, rate, values: mean.map((values) => values.slice())},
        work,
      );
      if (isBetter(candidate, best)) best = candidate;
      work.note(
        `rate ${rate}, epoch ${epoch}: loss ${(sum / count).toFixed(3)}, validation ${(100 * candidate.accuracy).toFixed(1)}${best === candidate ? ', kept' : ''}`,
      );
      this.assign(parameters.values);
    }
    return best;
  }

  /** Loss and gradients of some training pictures, each as one of its views. */
  private async gradients(
    rows: number[],
    copies: number[],
    values: Float32Array[],
  ): Promise<{loss: number; gradients: Float32Array[]}> {
    const {frontSize} = this.encoder;
    const fronts = new Float32Array(rows.length * frontSize);
    rows.forEach((row, i) => {
      fronts.set(
        this.fronts.views[copies[i]!]!.subarray(row * frontSize, (row + 1) * frontSize),
        i * frontSize,
      );
    });
    const labels = rows.map((row) => this.task.train.labels[row]!);
    const heads = rows.map(() => 0);
    const {value, grads} = tf.variableGrads(() => {
      const loss = lossOf(this.encoder.rest(fronts, true), heads, labels, rows.length, [this.head]);
      return tf.addN([loss, ...this.encoder.losses()]) as tf.Scalar;
    }, this.variables);
    const loss = (await value.data())[0]!;
    const gradients = await Promise.all(
      this.variables.map(async ({name}) => (await grads[name]!.data()) as Float32Array),
    );
    tf.dispose([value, grads]);
    // The penalty with which the probe was tuned: without it training would undo that.
    const [kernel, gradient] = [values.at(-2)!, gradients.at(-2)!];
    for (let i = 0; i < kernel.length; i++) gradient[i]! += this.baseline.l2 * kernel[i]!;
    return {loss, gradients};
  }
}

/** Moves a mean towards the values; the first steps count less, since they are only on the way. */
function remember(mean: Float32Array[], values: Float32Array[], step: number): void {
  const keep = Math.min(MEMORY, step / (step + 10));
  mean.forEach((own, i) => {
    for (let k = 0; k < own.length; k++) own[k] = keep * own[k]! + (1 - keep) * values[i]![k]!;
  });
}

/** A run whose numbers have overflowed has learnt nothing, and must not end as if it had. */
function diverged(rate: number, epoch: number): InputError {
  return new InputError(
    `training: the loss is no longer a finite number in epoch ${epoch} at --lr ${rate}; lower --lr`,
  );
}
