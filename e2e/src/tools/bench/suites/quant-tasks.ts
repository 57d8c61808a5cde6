import {createFormat, type FormatConfig} from '@tfjs-peft/quant';
import {buildUseLite} from '../../../data/models/use-lite.js';
import {DEFAULT_TASKS, loadBuiltinTasks} from '../../../data/tasks/builtin.js';
import {SPLITS, type Split} from '../../../data/tasks/task.js';
import {GRID_FORMATS} from '../../formats.js';
import {accuracyOf, crossEntropyOf, type Head, logitsOf} from '../../probe/linear.js';
import {tuneProbe} from '../../probe/probe.js';
import {type Row, row} from '../report.js';
import type {SuiteOptions} from '../suite.js';
import {quantised, quantizersWith} from './quant-cases.js';
import {meanCosine, tokenise, vectorsOf} from './sentences.js';

/** The main job's. */
const LIMITS = {train: 1500, validation: 300, test: 500};
const SEEDS = [1, 2, 3];
/** As many for each quantiser that searches. */
const TRIES = 50;
/** Texts to calibrate with. */
const CALIBRATION = 128;

interface Probed {
  head: Head;
  classes: number;
  labels: Int32Array;
  test: number[][];
  vectors: Float32Array;
}

/** Figures that a quantised encoder has, beside those of the plain one. */
interface Figures {
  /** Mean of (w - w_d)² over all Dense kernels. */
  error: number;
  cosine: number;
  loss: number;
  accuracy: number;
}

const meanOf = <T>(items: readonly T[], value: (item: T) => number) =>
  items.reduce((sum, item) => sum + value(item), 0) / items.length;

/** Means over tasks of a head's figures on test vectors. */
function scores(tasks: readonly Probed[], vectors: readonly Float32Array[]): Omit<Figures, 'error'> {
  const each = tasks.map(({head, labels, classes, vectors: plain}, i) => {
    const logits = logitsOf(head, vectors[i]!);
    return {
      cosine: meanCosine(vectors[i]!, plain),
      loss: crossEntropyOf(logits, labels, classes),
      accuracy: accuracyOf(logits, labels, classes),
    };
  });
  return {
    cosine: meanOf(each, ({cosine}) => cosine),
    loss: meanOf(each, ({loss}) => loss),
    accuracy: meanOf(each, ({accuracy}) => accuracy),
  };
}

/** Probes of the plain encoder, tuned on each task, and some of the texts that they were trained on. */
async function probes(
  seed: number,
  {limits = LIMITS, useLite}: SuiteOptions,
): Promise<{tasks: Probed[]; calibration: number[][]}> {
  const model = buildUseLite(useLite);
  const tasks: Probed[] = [];
  const calibration: number[][] = [];
  for (const task of loadBuiltinTasks(DEFAULT_TASKS, limits, seed)) {
    const data = {} as Record<Split, {tokens: number[][]; vectors: Float32Array; labels: Int32Array}>;
    for (const split of SPLITS) {
      const tokens = tokenise(task[split].map(({text}) => text));
      const labels = Int32Array.from(task[split], ({label}) => label);
      data[split] = {tokens, vectors: await vectorsOf(model, tokens), labels};
    }
    const classes = task.labels.length;
    const {head} = await tuneProbe(data.train, data.validation, classes);
    const {tokens, vectors, labels} = data.test;
    tasks.push({head, classes, labels, test: tokens, vectors});
    calibration.push(...data.train.tokens.slice(0, CALIBRATION / DEFAULT_TASKS.length));
  }
  model.dispose();
  return {tasks, calibration};
}

/**
 * What quantising the encoder does to real tasks: each quantiser in each format with scales, one a channel,
 * for three seeds and in the mean. `error` of the kernels, against rounding to nearest; the mean `cosine` of
 * sentence vectors; `loss` and `accuracy` on test texts of the probes of the plain encoder, against that. Has
 * no time limit.
 */
export async function quantTasks(options: SuiteOptions): Promise<Row[]> {
  const rows: Row[] = [];
  const wanted = (name: string) => options.cases?.test(name) ?? true;
  const types = Object.keys(quantizersWith(TRIES));
  const all = new Map<string, {ours: Figures; baseline: Figures}[]>();
  const add = (name: string, ours: Figures, baseline: Figures) => {
    for (const metric of ['error', 'cosine', 'loss', 'accuracy'] as const) {
      const against = metric === 'error' ? 'nearest' : 'float32';
      rows.push(
        row({
          case: name,
          metric,
          ours: ours[metric],
          baseline: baseline[metric],
          baselineName: against,
          unit: metric,
        }),
      );
      options.onRow?.(rows.at(-1)!);
    }
  };
  for (const seed of options.seeds ?? SEEDS) {
    const {tasks, calibration} = await probes(seed, options);
    const plain = scores(
      tasks,
      tasks.map(({vectors}) => vectors),
    );
    const quantizers = quantizersWith(options.tries ?? TRIES, seed);
    for (const format of GRID_FORMATS) {
      const config = createFormat({type: format, group: 'channel'} as FormatConfig).getConfig();
      if (!types.some((type) => wanted(`${format}/${type}`))) continue;
      let nearest = Number.NaN;
      for (const type of types) {
        const name = `${format}/${type}`;
        // Its error is the baseline of the others.
        if (type !== 'nearest' && !wanted(name)) continue;
        const how = {format: config, quantizer: quantizers[type]!, calibration, useLite: options.useLite};
        const {model, report} = await quantised('dense', how);
        const count = report.bytesBefore / 4;
        const error = report.layers.reduce((sum, {mse, shape: [m, n]}) => sum + mse * m * n, 0) / count;
        const vectors: Float32Array[] = [];
        for (const {test} of tasks) vectors.push(await vectorsOf(model, test));
        model.dispose();
        if (type === 'nearest') nearest = error;
        if (!wanted(name)) continue;
        const pair = {ours: {error, ...scores(tasks, vectors)}, baseline: {error: nearest, ...plain}};
        all.set(name, [...(all.get(name) ?? []), pair]);
        add(`${name}/seed-${seed}`, pair.ours, pair.baseline);
      }
    }
  }
  for (const [name, pairs] of all) {
    const mean = (side: 'ours' | 'baseline'): Figures => ({
      error: meanOf(pairs, (pair) => pair[side].error),
      cosine: meanOf(pairs, (pair) => pair[side].cosine),
      loss: meanOf(pairs, (pair) => pair[side].loss),
      accuracy: meanOf(pairs, (pair) => pair[side].accuracy),
    });
    add(name, mean('ours'), mean('baseline'));
  }
  return rows;
}
