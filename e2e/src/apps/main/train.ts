import {InputError} from '../../data/input-error.js';
import {hash} from '../../data/tasks/random.js';
import {breathe} from '../../tools/command/breathe.js';
import type {Interrupt} from '../../tools/command/interrupt.js';
import {accuracyOf, type Head} from '../../tools/probe/linear.js';
import type {Parameters} from '../common/parameters.js';
import type {Progress} from '../common/progress.js';
import {isBetter, mean, type Score} from '../common/selection.js';
import type {Position} from './checkpoint.js';
import {type EncodedTask, joined, type Texts} from './corpus.js';
import {type Crew, PARTS, tokenBatch} from './crew.js';
import {splitLogits} from './evaluate.js';
import type {Gradients, TrainingPart} from './member.js';
import type {Batch, Sampler} from './sampler.js';
import {scheduleAt, validationSteps} from './schedule.js';

/** Largest norm of a step's gradient over all parameters. */
const CLIP = 1;
const LOSS_SMOOTHING = 0.95;
/** Steps that are timed to see what one costs, after one to warm up. */
const TIMED_STEPS = 4;

export interface Training {
  crew: Crew;
  tasks: EncodedTask[];
  parameters: Parameters;
  sampler: Sampler;
  steps: number;
  learningRate: number;
  /** The penalty of each task's head, as its probe was tuned. */
  penalties: number[];
  interrupt: Interrupt;
  /** Seed of the routers' noise. */
  seed: number;
}

/** A batch in parts of about the same work, each with its own padding. */
function partsOf(step: number, batch: Batch, {tasks, seed}: Training): TrainingPart[] {
  const rows = batch.flatMap(({task, rows}) => rows.map((row) => ({task, row})));
  const size = Math.ceil(rows.length / PARTS);
  return Array.from({length: PARTS}, (_, part) => rows.slice(part * size, (part + 1) * size))
    .filter((own) => own.length > 0)
    .map((own, part) => {
      const texts = joined(own.map(({task, row}) => textAt(tasks[task]!.train, row)));
      return {
        ...tokenBatch(texts, [...own.keys()]),
        heads: own.map(({task}) => task),
        labels: own.map(({task, row}) => tasks[task]!.train.labels[row]!),
        count: rows.length,
        seed: hash(`${seed} ${step} ${part}`),
      };
    });
}

function textAt({tokens, context}: Texts, row: number): Texts {
  return {tokens: [tokens[row]!], ...(context && {context: [context[row]!]})};
}

/** Seconds that a step takes: the mean over some batches, by their tokens. */
export async function timeStep(training: Training): Promise<number> {
  const {crew, sampler, interrupt} = training;
  let tokens = 0;
  let began = 0;
  for (let step = 0; step <= TIMED_STEPS; step++) {
    interrupt.check();
    if (step === 1) began = performance.now();
    const parts = partsOf(step, sampler.batchOf(step), training);
    await crew.gradients(parts);
    if (step > 0) tokens += parts.reduce((sum, {tokens, length}) => sum + tokens.length * length, 0);
    await breathe();
  }
  return ((performance.now() - began) / 1000 / tokens) * sampler.meanTokens();
}

/** The heads among the values of all parameters, in their order: they are the last ones, two a task. */
export function headsAmong(values: Float32Array[], tasks: EncodedTask[]): Head[] {
  const first = values.length - 2 * tasks.length;
  return tasks.map((_, i) => ({kernel: values[first + 2 * i]!, bias: values[first + 2 * i + 1]!}));
}

/**
 * Adds the gradient of the heads' penalties: without them training would undo what tuning the
 * probes found, and heads of many classes would drift off with the noise. A task counts as
 * much as it has texts in the batch.
 */
function penalise(
  gradients: Gradients['gradients'],
  batch: Batch,
  {parameters, tasks, penalties}: Training,
): void {
  const rows = batch.reduce((sum, {rows}) => sum + rows.length, 0);
  const heads = headsAmong(parameters.values, tasks);
  const first = gradients.length - 2 * tasks.length;
  for (const {task, rows: own} of batch) {
    const factor = (penalties[task]! * own.length) / rows;
    const {kernel} = heads[task]!;
    const gradient = gradients[first + 2 * task]!;
    for (let i = 0; i < kernel.length; i++) gradient[i]! += factor * kernel[i]!;
  }
}

/**
 * The middle between two sets of values. After a long way it is often better than either end (Wortsman et al.
 * 2022, arXiv:2109.01903), above all on tasks that the way has harmed.
 */
function halfWay(
  start: ReadonlyMap<string, Float32Array>,
  end: ReadonlyMap<string, Float32Array>,
): Map<string, Float32Array> {
  return new Map(
    [...end].map(([name, values]) => [name, values.map((value, i) => (value + start.get(name)![i]!) / 2)]),
  );
}

/** Validates the values that the crew has now, and keeps them if they are the best so far. */
async function consider(
  training: Training,
  values: ReadonlyMap<string, Float32Array>,
  position: Position,
  best: Map<string, Float32Array>,
  progress: Progress,
): Promise<void> {
  const {crew, tasks, interrupt} = training;
  const heads = headsAmong([...values.values()], tasks);
  const logits = await splitLogits(crew, tasks, heads, 'validation', () => interrupt.check());
  const candidate = {
    step: position.step,
    accuracies: logits.map((own, i) =>
      accuracyOf(own, tasks[i]!.validation.labels, tasks[i]!.classes.length),
    ),
  };
  if (!logits.every((own) => own.every(Number.isFinite)))
    throw diverged(`validation after step ${position.step}`, training);
  const counts = tasks.map(({validation}) => validation.labels.length);
  const kept = isBetter(candidate, position.best, position.start, counts);
  if (kept) {
    position.best = candidate;
    for (const [name, array] of values) best.set(name, array);
  }
  progress.note(validationNote(candidate, position.start, kept, tasks));
}

/** Validation accuracies in percent, by task and in the mean, and those of the start. */
function validationNote(
  {step, accuracies}: Score,
  start: Score,
  kept: boolean,
  tasks: EncodedTask[],
): string {
  const pair = (now: number, before: number) => `${(100 * now).toFixed(1)} (${(100 * before).toFixed(1)})`;
  const each = tasks.map(({name}, i) => `${name} ${pair(accuracies[i]!, start.accuracies[i]!)}`);
  const means = pair(mean(accuracies), mean(start.accuracies));
  return `validation after step ${step}: ${means}, ${kept ? 'kept' : 'not kept'}; ${each.join(', ')}`;
}

/** A run whose numbers have overflowed has learnt nothing, and must not end as if it had. */
function diverged(where: string, {learningRate}: Training): InputError {
  return new InputError(
    `training: the loss is no longer a finite number at ${where}; lower --lr (now ${learningRate}) or --head-lr`,
  );
}

const smoothLoss = (before: number | undefined, loss: number) =>
  before === undefined ? loss : LOSS_SMOOTHING * before + (1 - LOSS_SMOOTHING) * loss;

/**
 * Trains from `position` to the last step; the last candidate is the middle between `start` and the end.
 * `position` and `best` are kept up to date step by step, so that whoever catches {@link Interrupted} can
 * write a checkpoint that goes on to the same result.
 */
export async function train(
  training: Training,
  position: Position,
  start: ReadonlyMap<string, Float32Array>,
  best: Map<string, Float32Array>,
  progress: Progress,
): Promise<void> {
  const {crew, parameters, sampler, steps, learningRate, interrupt} = training;
  const validated = new Set(validationSteps(steps));
  let smoothed = position.losses.reduce<number | undefined>(smoothLoss, undefined);
  await crew.assign(parameters.values);
  for (;;) {
    if (validated.has(position.step) && position.validated < position.step) {
      await consider(training, parameters.snapshot(), position, best, progress);
      position.validated = position.step;
    }
    if (position.step >= steps) break;
    interrupt.check();
    const began = performance.now();
    const batch = sampler.batchOf(position.step);
    const {loss, gradients} = await crew.gradients(partsOf(position.step, batch, training));
    penalise(gradients, batch, training);
    const finite = parameters.update(gradients, learningRate * scheduleAt(position.step, steps), CLIP);
    if (!finite || !Number.isFinite(loss)) throw diverged(`step ${position.step + 1}`, training);
    await crew.assign(parameters.values);
    position.losses.push(loss);
    smoothed = smoothLoss(smoothed, loss);
    position.trainingSeconds += (performance.now() - began) / 1000;
    position.step++;
    const rate = position.step / position.trainingSeconds;
    progress.advance(1, `loss ${smoothed.toFixed(3)}  ${rate.toFixed(2)} step/s`);
    await breathe();
  }
  if (!position.blended) {
    const blend = halfWay(start, parameters.snapshot());
    await crew.assign([...blend.values()]);
    await consider(training, blend, position, best, progress);
    position.blended = true;
  }
}
