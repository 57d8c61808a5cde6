import type {Position} from './checkpoint.js';
import type {EncodedTask} from './corpus.js';
import {breathe, type Crew, PARTS} from './crew.js';
import {splitLogits} from './evaluate.js';
import type {Interrupt} from './interrupt.js';
import {accuracyOf, type Head} from './linear.js';
import type {TrainingPart} from './member.js';
import type {Parameters} from './parameters.js';
import type {Progress} from './progress.js';
import type {Batch, Sampler} from './sampler.js';
import {scheduleAt, validationSteps} from './schedule.js';
import {isBetter, mean, type Score} from './selection.js';

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
  interrupt: Interrupt;
}

/** A batch in parts of about the same work, each with its own padding. */
function partsOf(batch: Batch, tasks: EncodedTask[]): TrainingPart[] {
  const rows = batch.flatMap(({task, rows}) => rows.map((row) => ({task, row})));
  const size = Math.ceil(rows.length / PARTS);
  return Array.from({length: PARTS}, (_, part) => rows.slice(part * size, (part + 1) * size))
    .filter((own) => own.length > 0)
    .map((own) => {
      const tokens = own.map(({task, row}) => tasks[task]!.train.tokens[row]!);
      return {
        tokens,
        length: Math.max(1, ...tokens.map(({length}) => length)),
        heads: own.map(({task}) => task),
        labels: own.map(({task, row}) => tasks[task]!.train.labels[row]!),
        count: rows.length,
      };
    });
}

/** Seconds that a step takes: the mean over some batches, by their tokens. */
export async function timeStep({crew, sampler, tasks, interrupt}: Training): Promise<number> {
  let tokens = 0;
  let began = 0;
  for (let step = 0; step <= TIMED_STEPS; step++) {
    interrupt.check();
    if (step === 1) began = performance.now();
    const parts = partsOf(sampler.batchOf(step), tasks);
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

async function validate({crew, tasks, parameters, interrupt}: Training): Promise<number[]> {
  const heads = headsAmong(parameters.values, tasks);
  const logits = await splitLogits(crew, tasks, heads, 'validation', () => interrupt.check());
  return logits.map((own, i) => accuracyOf(own, tasks[i]!.validation.labels, tasks[i]!.classes.length));
}

/** Validation accuracies in percent, by task and in the mean, and those of the start. */
function validationNote({step, accuracies}: Score, {start, best}: Position, tasks: EncodedTask[]): string {
  const pair = (now: number, before: number) => `${(100 * now).toFixed(1)} (${(100 * before).toFixed(1)})`;
  const each = tasks.map(({name}, i) => `${name} ${pair(accuracies[i]!, start.accuracies[i]!)}`);
  const kept = best.step === step ? 'kept' : `not kept, best is step ${best.step}`;
  return `validation after step ${step}: ${pair(mean(accuracies), mean(start.accuracies))}, ${kept}; ${each.join(', ')}`;
}

/**
 * Trains from `position` to the last step. `position` and `best` are kept up to date step by step, so that whoever catches
 * {@link Interrupted} can write a checkpoint that goes on to the same result.
 */
export async function train(
  training: Training,
  position: Position,
  best: Map<string, Float32Array>,
  progress: Progress,
): Promise<void> {
  const {crew, parameters, sampler, steps, learningRate, interrupt, tasks} = training;
  const validated = new Set(validationSteps(steps));
  const counts = tasks.map(({validation}) => validation.labels.length);
  await crew.assign(parameters.values);
  for (;;) {
    if (validated.has(position.step) && position.validated < position.step) {
      const candidate = {step: position.step, accuracies: await validate(training)};
      if (isBetter(candidate, position.best, position.start, counts)) {
        position.best = candidate;
        for (const [name, values] of parameters.snapshot()) best.set(name, values);
      }
      position.validated = position.step;
      progress.note(validationNote(candidate, position, tasks));
    }
    if (position.step >= steps) return;
    interrupt.check();
    const began = performance.now();
    const {loss, gradients} = await crew.gradients(partsOf(sampler.batchOf(position.step), tasks));
    parameters.update(gradients, learningRate * scheduleAt(position.step, steps), CLIP);
    await crew.assign(parameters.values);
    position.loss = position.step === 0 ? loss : LOSS_SMOOTHING * position.loss + (1 - LOSS_SMOOTHING) * loss;
    position.trainingSeconds += (performance.now() - began) / 1000;
    position.step++;
    const rate = position.step / position.trainingSeconds;
    progress.advance(1, `loss ${position.loss.toFixed(3)}  ${rate.toFixed(2)} step/s`);
    await breathe();
  }
}
