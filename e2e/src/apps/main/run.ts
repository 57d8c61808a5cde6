import {statSync} from 'node:fs';
import {join} from 'node:path';
import {SPLITS} from '../../data/tasks/task.js';
import {type Interrupt, Interrupted} from '../../tools/command/interrupt.js';
import {checkSpace, writeInto} from '../../tools/command/output.js';
import {accuracyOf, type Head, standardError} from '../../tools/probe/linear.js';
import {fingerprint} from '../common/fingerprint.js';
import type {ParameterStart} from '../common/parameters.js';
import {Parameters} from '../common/parameters.js';
import {Progress} from '../common/progress.js';
import {reloadDifference} from '../common/second-process.js';
import {mean} from '../common/selection.js';
import {type Addition, additionSize, rateOf} from './addition.js';
import {type Baseline, measureBaseline} from './baseline.js';
import {type Checkpoint, type Position, restored, writeCheckpoint} from './checkpoint.js';
import {addContexts, contextNeeds, fitCentroids, needsVectors} from './context.js';
import type {EncodedTask} from './corpus.js';
import type {Crew} from './crew.js';
import type {BaseModel} from './encoders/load.js';
import {splitLogits} from './evaluate.js';
import {extractFeatures} from './features.js';
import type {Options} from './options.js';
import type {Result} from './result.js';
import {Sampler} from './sampler.js';
import {adapterFolder, writeHeads, writePredictions} from './saved.js';
import {affordableSteps} from './schedule.js';
import {headsAmong, type Training, timeStep, train} from './train.js';

const DEFAULT_STEPS = 400;
/** A default run is to end within five minutes on a slow machine too; it then trains for fewer steps. */
const DEFAULT_MINUTES = 4.25;
/** Saving, and what the second process needs before it can encode. */
const CLOSING_SECONDS = 5;

/**
 * Arrays of each parameter that a run may write: five in a checkpoint, one in the
 * adapter; and room for all the rest.
 */
const ARRAYS_WRITTEN = 6;
const SMALL_FILES = 1e6;

/** Steps at both ends of a run whose losses are compared. */
const LOSS_STEPS = 20;

/** One seed's run: what it works on and where it reports. */
export interface Run {
  /** What the crew's encoders are. */
  base: BaseModel;
  crew: Crew;
  tasks: EncodedTask[];
  options: Options;
  /** With all defaults. */
  adapter: Addition;
  seed: number;
  /** Folder for the adapter, heads, predictions and checkpoint. */
  out: string;
  /** Whether all of the program's time is this run's, so that a budget of minutes applies to it. */
  alone: boolean;
  checkpoint: Checkpoint | undefined;
  interrupt: Interrupt;
}

const tokensOf = (tasks: EncodedTask[], split: 'validation' | 'test') =>
  tasks.reduce((sum, task) => sum + task[split].tokens.reduce((own, {length}) => own + length, 0), 0);

async function chooseSteps(
  run: Run,
  training: Training,
  secondsPerToken: number,
  elapsed: () => number,
): Promise<number> {
  const {options, tasks, alone} = run;
  if (options.steps !== undefined) return options.steps;
  if (!alone && options.minutes === undefined) return DEFAULT_STEPS;
  const step = await timeStep(training);
  const spent = elapsed();
  // An adapted forward costs a little more than the frozen one that was measured.
  const token = 1.15 * secondsPerToken;
  const affordable = affordableSteps(60 * (options.minutes ?? DEFAULT_MINUTES) - spent, {
    step,
    validation: token * tokensOf(tasks, 'validation'),
    rest: 2 * token * tokensOf(tasks, 'test') + CLOSING_SECONDS,
  });
  return options.minutes === undefined ? Math.min(DEFAULT_STEPS, affordable) : affordable;
}

/** Mean training losses of the first and of the last steps: one batch alone says little. */
function lossesOf(losses: number[]): {start: number; end: number} {
  const count = Math.max(1, Math.min(LOSS_STEPS, losses.length >> 1));
  return {start: mean(losses.slice(0, count)), end: mean(losses.slice(-count))};
}

function majorityOf({train, test, classes}: EncodedTask): number {
  const counts = classes.map(() => 0);
  for (const label of train.labels) counts[label]!++;
  const most = counts.indexOf(Math.max(...counts));
  return test.labels.filter((label) => label === most).length / test.labels.length;
}

function progressOf({options}: Run, what: string, total: number): Progress {
  return new Progress(what, total, process.stderr, options.quiet);
}

/** Heads as zeros of the right size, whose values a checkpoint replaces. */
const emptyHeads = (tasks: EncodedTask[], width: number): Head[] =>
  tasks.map(({classes}) => ({
    kernel: new Float32Array(width * classes.length),
    bias: new Float32Array(classes.length),
  }));

function firstPosition({figures}: Baseline): Position {
  const start = {step: 0, accuracies: figures.map(({validation}) => validation)};
  return {step: 0, validated: 0, blended: false, start, best: start, losses: [], trainingSeconds: 0};
}

/**
 * Gives every text what the adapter's routers read of it.
 *
 * @returns the centroids that were fitted for an intuition.
 */
async function bringContext(
  {crew, tasks, adapter, seed, interrupt, options}: Run,
  baseline: Baseline | undefined,
): Promise<Float32Array | undefined> {
  const needs = contextNeeds(adapter, crew.width);
  let vectors = baseline?.vectors;
  if (vectors === undefined && needsVectors(needs)) {
    const count = tasks.reduce(
      (sum, task) => sum + SPLITS.reduce((own, split) => own + task[split].labels.length, 0),
      0,
    );
    const progress = new Progress('frozen encoder: texts', count, process.stderr, options.quiet);
    ({vectors} = await extractFeatures(crew, tasks, interrupt, progress));
    progress.end();
  }
  const train = vectors?.map((own) => own.train) ?? [];
  const centroids = fitCentroids(needs, train, crew.width, seed);
  addContexts(tasks, needs, vectors, centroids);
  return centroids;
}

/** Before the first step: is there room for what will be written? */
function checkSizes({out, tasks}: Run, starts: ParameterStart[]): void {
  const parameters = starts.reduce((sum, {values}) => sum + values.length, 0);
  const texts = tasks.reduce(
    (sum, {test}) => sum + test.texts.reduce((own, text) => own + text.length, 0),
    0,
  );
  checkSpace('--out', out, 4 * parameters * ARRAYS_WRITTEN + 4 * texts + SMALL_FILES);
}

/**
 * The main job for one seed: probes on the frozen encoder, the upgrade, training, the test, saving, and a
 * second process that loads what was saved.
 *
 * @throws Interrupted after a checkpoint was written, if the user asked to stop.
 */
export async function runSeed(run: Run): Promise<Result> {
  const {base, crew, tasks, options, adapter, seed, out, checkpoint, interrupt} = run;
  const began = run.alone ? 0 : performance.now();
  const elapsed = () => (performance.now() - began) / 1000 + (checkpoint?.seconds ?? 0);
  const {encoder} = crew;
  const before = await fingerprint(encoder.weights());
  const total = encoder.parameters;
  const show = {stream: process.stderr, quiet: options.quiet};
  const baseline = checkpoint === undefined ? await measureBaseline(crew, tasks, interrupt, show) : undefined;

  const centroids = await bringContext(run, baseline);
  const starts = await crew.adapt(adapter, seed, baseline?.heads ?? emptyHeads(tasks, crew.width));
  checkSizes(run, starts);
  const probes = checkpoint?.probes ?? baseline!.figures;
  const learningRate = rateOf(options);
  const headRate = options.headLr / learningRate;
  const parameters = new Parameters(starts, (name) => (name.startsWith('head/') ? headRate : 1));
  const sampler = () => new Sampler(tasks, options.batch, options.maxTokens, seed);
  const training: Training = {
    crew,
    tasks,
    parameters,
    sampler: sampler(),
    steps: checkpoint?.steps ?? 0,
    learningRate,
    penalties: probes.map(({l2}) => l2),
    interrupt,
    seed,
  };
  const position = checkpoint?.position ?? firstPosition(baseline!);
  const fitting = {steps: options.steps, tasks: tasks.map(({name}) => name)};
  const held = checkpoint && restored(checkpoint, parameters.shapes(), fitting);
  const start = held?.start ?? parameters.snapshot();
  const best = held?.best ?? parameters.snapshot();
  if (held !== undefined) parameters.restoreStates(held.states);
  else training.steps = await chooseSteps(run, training, baseline!.secondsPerToken, elapsed);
  training.sampler = sampler();
  const {steps} = training;

  let logits: Float32Array[];
  let heads: Head[];
  let reload: {maxDiff: number};
  try {
    const progress = progressOf(run, 'training: step', steps);
    progress.advance(position.step);
    await train(training, position, start, best, progress);
    progress.end();
    interrupt.check();
    parameters.restore(best);
    await crew.assign(parameters.values);
    heads = headsAmong(parameters.values, tasks);
    const testing = progressOf(
      run,
      'test: texts',
      tasks.reduce((sum, {test}) => sum + test.labels.length, 0),
    );
    logits = await splitLogits(crew, tasks, heads, 'test', (count) => {
      testing.advance(count);
      interrupt.check();
    });
    testing.end();
    await writeInto(adapterFolder(out), () => crew.local.trained.save(adapterFolder(out)));
    writeHeads(
      out,
      {
        ...base,
        adapter,
        maxTokens: options.maxTokens,
        tasks: tasks.map(({name, classes}) => ({name, classes})),
      },
      heads,
      centroids,
    );
    writePredictions(out, tasks, logits);
    if (!options.quiet) process.stderr.write('reloading in a new process\n');
    reload = {
      maxDiff: await reloadDifference(new URL('./reload.js', import.meta.url), [out, options.backend]).catch(
        (error) => {
          // Ctrl-C in a terminal reaches the second process too, which then fails.
          interrupt.check();
          throw error;
        },
      ),
    };
    interrupt.check();
  } catch (error) {
    if (error instanceof Interrupted) {
      writeCheckpoint(out, parameters, {start, best}, {steps, position, probes, seconds: elapsed()});
    }
    throw error;
  }

  const {trained} = crew.local;
  const trainable = trained.variables().reduce((sum, {size}) => sum + size, 0);
  const sites = trained.places().length;
  await crew.release();
  const baseUnchanged = (await fingerprint(encoder.weights())) === before;
  const results = tasks.map((task, i) => {
    const adapted = accuracyOf(logits[i]!, task.test.labels, task.classes.length);
    return {
      name: task.name,
      classes: task.classes.length,
      train: task.train.labels.length,
      test: task.test.labels.length,
      majority: majorityOf(task),
      probe: probes[i]!.test,
      adapted,
      stderr: standardError(adapted, task.test.labels.length),
    };
  });
  return {
    command: 'main',
    backend: options.backend,
    seed,
    steps,
    seconds: elapsed(),
    stepMs: (1000 * position.trainingSeconds) / Math.max(1, position.step),
    adapter: {type: options.adapter, ...additionSize(adapter), sites},
    ...(base.quantization && {format: base.quantization.format.type}),
    trainable,
    heads: heads.reduce((sum, {kernel, bias}) => sum + kernel.length + bias.length, 0),
    total,
    share: trainable / total,
    adapterBytes: statSync(join(adapterFolder(out), 'adapter_model.safetensors')).size,
    baseUnchanged,
    reload,
    keptStep: position.best.step,
    loss: lossesOf(position.losses),
    mean: {probe: mean(results.map(({probe}) => probe)), adapted: mean(results.map(({adapted}) => adapted))},
    tasks: results,
  };
}
