import type {Interrupt} from '../../tools/command/interrupt.js';
import {lockFolder} from '../../tools/command/lock.js';
import {checkSpace, checkWritable, writeJson} from '../../tools/command/output.js';
import {adapterConfig, checkSize, sizeOf} from '../common/adapter.js';
import {useBackend} from '../common/backend.js';
import {Progress} from '../common/progress.js';
import {ImageEncoder} from './encoder.js';
import {readImagesFolder} from './folder.js';
import {HELP, type ImagesOptions, parseImagesOptions} from './options.js';
import {type ImagesResult, taskResult} from './result.js';
import {costOf, type RunFigures, runImages} from './run.js';
import type {Source} from './source.js';
import {imagesTable} from './table.js';
import {builtinSource, Decoder, type Sides, splitSource} from './tasks.js';
import {Work} from './work.js';

/** What a run leaves on disk for each seed of a task, at most. */
const BYTES_A_RUN = 10e6;

function sourcesOf({tasks, imagesDir, flip}: ImagesOptions): Source[] {
  const warn = (message: string) => process.stderr.write(`warning: ${message}\n`);
  return imagesDir === undefined ? tasks.map(builtinSource) : [readImagesFolder(imagesDir, flip, warn)];
}

/**
 * Decodes all pictures of all seeds: one that is broken is to be known before the work, not after half of it.
 */
async function decodeAll(
  decoder: Decoder,
  sides: Sides[],
  quiet: boolean,
  interrupt: Interrupt,
): Promise<void> {
  const pictures = decoder.missing(sides);
  const progress = new Progress('pictures', pictures.length, process.stderr, quiet);
  for (const [i, picture] of pictures.entries()) {
    decoder.decode(picture);
    progress.advance(1);
    if (i % 20 === 0) await interrupt.hear();
  }
  progress.end();
}

async function run(options: ImagesOptions, interrupt: Interrupt): Promise<ImagesResult> {
  const began = performance.now();
  checkWritable('--json', options.json);
  lockFolder('--out', options.out);
  checkSpace('--out', options.out, BYTES_A_RUN * options.tasks.length * options.seeds.length);
  await interrupt.hear();
  const decoder = new Decoder();
  const runs = sourcesOf(options).map((source) => ({
    source,
    sides: options.seeds.map((seed) => splitSource(source, options.limits, seed)),
  }));
  await decodeAll(
    decoder,
    runs.flatMap(({sides}) => sides),
    options.quiet,
    interrupt,
  );
  await useBackend(options.backend);
  const encoder = await ImageEncoder.load();
  const adapter = adapterConfig(options, {tasks: 1, width: encoder.width, intuition: false});
  checkSize(adapter, encoder);
  await interrupt.hear();
  const cost = runs
    .flatMap(({source, sides}) => sides.map((own) => costOf(decoder.task(source, own), options)))
    .reduce((sum, own) => sum + own, 0);
  const progress = new Progress('pictures through the model', Math.ceil(cost), process.stderr, options.quiet);
  const all: RunFigures[] = [];
  const tasks: ImagesResult['tasks'] = [];
  for (const {source, sides} of runs) {
    const figures: RunFigures[] = [];
    for (const [i, seed] of options.seeds.entries()) {
      const task = decoder.task(source, sides[i]!);
      const work = new Work(progress, interrupt, `${source.name}, seed ${seed}`);
      figures.push(await runImages({encoder, task, options, adapter, seed, work, interrupt}));
    }
    const {classes, train, validation, test} = decoder.task(source, sides[0]!);
    const about = {
      name: source.name,
      classes: classes.length,
      train: train.labels.length,
      validation: validation.labels.length,
      test: test.labels.length,
    };
    const seeds = figures.map(({sites, trainable, baseUnchanged, maxDiff, ...own}) => own);
    tasks.push(taskResult(about, seeds));
    all.push(...figures);
  }
  progress.end();
  return {
    command: 'images',
    backend: options.backend,
    seeds: options.seeds,
    adapter: {type: options.adapter, ...sizeOf(adapter), sites: all[0]!.sites},
    trainable: all[0]!.trainable,
    total: encoder.parameters,
    baseUnchanged: all.every(({baseUnchanged}) => baseUnchanged),
    tasks,
    reload: {maxDiff: Math.max(...all.map(({maxDiff}) => maxDiff))},
    seconds: (performance.now() - began) / 1000,
  };
}

/** The command `npm run images`. */
export async function main(argv: string[], interrupt: Interrupt): Promise<void> {
  const options = parseImagesOptions(argv);
  if (options === undefined) {
    console.log(HELP);
    return;
  }
  const result = await run(options, interrupt);
  console.log(imagesTable(result));
  if (options.json !== undefined) writeJson(options.json, result);
}
