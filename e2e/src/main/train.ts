import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {USE_LITE_WIDTH} from '../models/use-lite.js';
import type {Split} from '../tasks/task.js';
import type {Position} from './checkpoint.js';
import type {EncodedTask} from './corpus.js';
import {breathe, encodeAll, sentenceVectors} from './encode.js';
import {batchLoss, type HeadVariables} from './heads.js';
import type {Interrupt} from './interrupt.js';
import {accuracyOf, type Head, logitsOf} from './linear.js';
import type {Parameters} from './parameters.js';
import type {Progress} from './progress.js';
import type {Batch, Sampler} from './sampler.js';
import {scheduleAt, validationSteps} from './schedule.js';
import {isBetter} from './selection.js';

/** Largest norm of a step's gradient over all parameters. */
const CLIP = 1;
const LOSS_SMOOTHING = 0.95;

export interface Training {
  model: LayersModel;
  tasks: EncodedTask[];
  heads: HeadVariables[];
  parameters: Parameters;
  sampler: Sampler;
  steps: number;
  learningRate: number;
  maxTokens: number;
  interrupt: Interrupt;
}

/** Loss of a batch and its gradients with respect to the trained variables; the caller disposes both. */
function gradientsOf({model, tasks, heads, parameters}: Training, batch: Batch) {
  return tf.variableGrads(() => {
    const tokens = batch.segments.flatMap(({task, rows}) =>
      rows.map((row) => tasks[task]!.train.tokens[row]!),
    );
    return batchLoss(sentenceVectors(model, tokens, batch.length, true), batch, tasks, heads);
  }, parameters.variables);
}

/** Seconds that a step takes: the mean over the first batches, by their tokens, after one to warm up. */
export async function timeStep(training: Training): Promise<number> {
  let tokens = 0;
  let began = 0;
  for (let step = 0; step < 5; step++) {
    training.interrupt.check();
    if (step === 1) began = performance.now();
    const batch = training.sampler.batchOf(step);
    const {value, grads} = gradientsOf(training, batch);
    await Promise.all(Object.values(grads).map((gradient) => gradient.data()));
    tf.dispose([value, grads]);
    if (step > 0) tokens += batch.length * batch.segments.reduce((sum, {rows}) => sum + rows.length, 0);
    await breathe();
  }
  return ((performance.now() - began) / 1000 / tokens) * training.sampler.meanTokens();
}

/** The heads as they are now. */
export async function currentHeads(heads: HeadVariables[]): Promise<Head[]> {
  return Promise.all(
    heads.map(async ({kernel, bias}) => ({
      kernel: (await kernel.data()) as Float32Array,
      bias: (await bias.data()) as Float32Array,
    })),
  );
}

/** Logits of every task's texts of a split, by task. */
export async function splitLogits(
  model: LayersModel,
  tasks: EncodedTask[],
  heads: Head[],
  split: Split,
  maxTokens: number,
  onTexts: (count: number) => void,
): Promise<Float32Array[]> {
  const vectors = await encodeAll(
    model,
    tasks.flatMap((task) => task[split].tokens),
    maxTokens,
    onTexts,
  );
  let start = 0;
  return tasks.map((task, i) => {
    const end = start + task[split].labels.length * USE_LITE_WIDTH;
    const logits = logitsOf(heads[i]!, vectors.subarray(start, end));
    start = end;
    return logits;
  });
}

async function validate({model, tasks, heads, maxTokens, interrupt}: Training): Promise<number[]> {
  const current = await currentHeads(heads);
  const logits = await splitLogits(model, tasks, current, 'validation', maxTokens, () => interrupt.check());
  return logits.map((own, i) => accuracyOf(own, tasks[i]!.validation.labels, tasks[i]!.classes.length));
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
  const {parameters, sampler, steps, learningRate, interrupt, tasks} = training;
  const validated = new Set(validationSteps(steps));
  const counts = tasks.map(({validation}) => validation.labels.length);
  for (;;) {
    if (validated.has(position.step) && position.validated < position.step) {
      const candidate = {step: position.step, accuracies: await validate(training)};
      if (isBetter(candidate, position.best, position.start, counts)) {
        position.best = candidate;
        for (const [name, values] of parameters.snapshot()) best.set(name, values);
      }
      position.validated = position.step;
    }
    if (position.step >= steps) return;
    interrupt.check();
    const began = performance.now();
    const {value, grads} = gradientsOf(training, sampler.batchOf(position.step));
    const loss = (await value.data())[0]!;
    await parameters.update(grads, learningRate * scheduleAt(position.step, steps), CLIP);
    tf.dispose([value, grads]);
    position.loss = position.step === 0 ? loss : LOSS_SMOOTHING * position.loss + (1 - LOSS_SMOOTHING) * loss;
    position.trainingSeconds += (performance.now() - began) / 1000;
    position.step++;
    const rate = position.step / position.trainingSeconds;
    progress.advance(1, `loss ${position.loss.toFixed(3)}  ${rate.toFixed(2)} step/s`);
    await breathe();
  }
}
