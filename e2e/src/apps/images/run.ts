import {join} from 'node:path';
import type {AdapterConfig} from '@tfjs-peft/layers';
import type {Interrupt} from '../../tools/command/interrupt.js';
import {writeInto} from '../../tools/command/output.js';
import {accuracyOf, logitsOf, predictionsOf} from '../../tools/probe/linear.js';
import {learningRateOf} from '../common/adapter.js';
import {fingerprint} from '../common/fingerprint.js';
import {reloadDifference} from '../common/second-process.js';
import {measureBaseline} from './baseline.js';
import type {ImageEncoder} from './encoder.js';
import {COPIES, frontCount, frontsOf} from './features.js';
import type {ImagesOptions} from './options.js';
import {pairedGain, type SeedResult} from './result.js';
import {adapterFolder, writeRun} from './saved.js';
import type {ImageTask} from './tasks.js';
import {TRAINING_COST, Trainer, VALIDATION_COST} from './train.js';
import type {Work} from './work.js';

/** One task with one seed. */
export interface ImageRun {
  encoder: ImageEncoder;
  task: ImageTask;
  options: ImagesOptions;
  adapter: AdapterConfig;
  seed: number;
  work: Work;
  interrupt: Interrupt;
}

export interface RunFigures extends SeedResult {
  sites: number;
  trainable: number;
  baseUnchanged: boolean;
  maxDiff: number;
}

/** Learning rates that validation chooses from: the adapter's own on few pictures, and a third of it. */
export const ratesOf = ({adapter, lr}: Pick<ImagesOptions, 'adapter' | 'lr'>): number[] =>
  lr === undefined
    ? [1, 1 / 3].map((share) => Number((share * learningRateOf({adapter})).toPrecision(2)))
    : [lr];

/** Work of a run, in pictures through the whole model. */
export function costOf(task: ImageTask, options: ImagesOptions): number {
  const {train, validation, test} = task;
  const [trained, validated, tested] = [train, validation, test].map(({labels}) => labels.length);
  const rates = ratesOf(options).length;
  return (
    frontCount(task) +
    0.5 * (trained! * (1 + COPIES) + validated! + tested!) +
    rates * options.epochs * (TRAINING_COST * trained! + VALIDATION_COST * validated!) +
    VALIDATION_COST * validated! +
    2 * tested!
  );
}

/**
 * A probe on the frozen model, the upgrade, training, the test, saving, and a second
 * process that loads what was saved.
 */
export async function runImages({
  encoder,
  task,
  options,
  adapter,
  seed,
  work,
  interrupt,
}: ImageRun): Promise<RunFigures> {
  const before = await fingerprint(encoder.weights());
  const fronts = await frontsOf(encoder, task, seed, work);
  const baseline = await measureBaseline(encoder, task, fronts, work);
  const peft = await encoder.upgrade(adapter, seed);
  const report = peft.report();
  const trainer = await Trainer.create(encoder, peft, task, fronts, baseline);
  const best = await trainer.best(ratesOf(options), options.epochs, options.batch, seed, work);
  trainer.assign(best.values);
  const head = trainer.headOf(best.values);
  const classes = task.classes.length;
  const logits = logitsOf(head, await encoder.vectors(fronts.test, (count) => work.did(0.5 * count, 'test')));
  const out = join(options.out, task.name, `seed-${seed}`);
  await writeInto(adapterFolder(out), () => peft.save(adapterFolder(out)));
  writeRun(
    out,
    {
      task: task.name,
      ...(options.imagesDir !== undefined && {imagesDir: options.imagesDir}),
      classes: task.classes,
      limits: options.limits,
      seed,
      backend: options.backend,
      adapter,
    },
    head,
    logits,
  );
  trainer.dispose();
  peft.detach();
  const maxDiff = await reloadDifference(new URL('./reload.js', import.meta.url), [out]).catch((error) => {
    // Ctrl-C in a terminal reaches the second process too, which then fails.
    interrupt.check();
    throw error;
  });
  await work.did(1.5 * task.test.labels.length, 'reloaded');
  const adapted = accuracyOf(logits, task.test.labels, classes);
  const percent = (share: number) => (100 * share).toFixed(1);
  work.note(`test: probe ${percent(baseline.accuracy)}, adapted ${percent(adapted)}`);
  return {
    seed,
    probe: baseline.accuracy,
    adapted,
    ...pairedGain(task.test.labels, baseline.predictions, predictionsOf(logits, classes)),
    keptEpoch: best.epoch,
    rate: best.rate,
    probeFittedTo: baseline.fittedTo,
    sites: report.sites.filter(({status}) => status === 'adapted').length,
    trainable: report.trainable,
    baseUnchanged: (await fingerprint(encoder.weights())) === before,
    maxDiff,
  };
}
