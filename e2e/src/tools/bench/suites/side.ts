import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {upgrade} from '@tfjs-peft/layers';
import {quantizeModel} from '@tfjs-peft/layers/quantize';
import {attachSideNetwork} from '@tfjs-peft/layers/side';
import {buildUseLite, USE_LITE_SIDE} from '../../../data/models/use-lite.js';
import {groupedFormat} from '../../formats.js';
import {profile, time} from '../measure.js';
import {type Row, row} from '../report.js';
import {type Side, stepOf} from '../step.js';
import {kernelsFor} from '../stock.js';
import {roundsOf, type Suite, type SuiteOptions} from '../suite.js';
import {useLiteBatch} from './use-lite-batch.js';

/** What is trained of a model, after it was quantised or not. */
type Prepare = (model: LayersModel) => Promise<tf.Variable[]>;

const beside: Prepare = async (model) => {
  const side = await attachSideNetwork(model, {...USE_LITE_SIDE, seed: 1});
  return side.trainableVariables();
};

/** Everything but layer norms and biases has 4 bits. Which codes are taken changes neither time nor bytes. */
const besideQuantised: Prepare = async (model) => {
  await quantizeModel(model, {format: groupedFormat('int4'), targets: [{op: 'Dense'}, 'embedding']});
  return beside(model);
};

const adapted: Prepare = async (model) => {
  const adapter = {type: 'lora', rank: 8, alpha: 16} as const;
  return (await upgrade(model, {targets: 'all-dense', adapter, seed: 1})).trainableVariables();
};

const BASELINE = 'lora-all';

export const SIDE_CASES: Record<string, Prepare> = {
  ismoe: beside,
  'mp-ismoe': besideQuantised,
  [BASELINE]: adapted,
};

/** A model with what is trained of it, and the bytes of all its weights. */
export interface WeighedSide extends Side {
  weightBytes: number;
  dispose(): void;
}

export async function weighedSide(name: string, useLite: SuiteOptions['useLite']): Promise<WeighedSide> {
  const before = tf.memory().numBytes;
  const model = buildUseLite(useLite);
  const trained = await SIDE_CASES[name]!(model);
  return {
    trained,
    weightBytes: tf.memory().numBytes - before,
    forward: (ids, training) => model.apply(ids, {training}) as tf.Tensor,
    dispose: () => void model.dispose(),
  };
}

/**
 * Side networks beside USE-lite against our LoRA at all of its Dense layers: `step`; `peak-bytes` of a step
 * beyond those alive before; `resident-bytes`, which are these and all weights.
 */
export const sideSuite: Suite = async (options) => {
  const rounds = {...roundsOf(options), warmup: options.warmup ?? 1};
  const {ids, target} = useLiteBatch(options);
  const rows: Row[] = [];
  const lora = await weighedSide(BASELINE, options.useLite);
  const loraStep = stepOf(lora, ids, target);
  for (const name of Object.keys(SIDE_CASES)) {
    if (options.cases && !options.cases.test(name)) continue;
    const side = name === BASELINE ? lora : await weighedSide(name, options.useLite);
    const add = (metric: string, unit: string, figures: Pick<Row, 'ours' | 'baseline' | 'rounds'>) => {
      rows.push(row({case: name, metric, ...figures, baselineName: `${BASELINE}, ours`, unit}));
      options.onRow?.(rows.at(-1)!);
    };
    const step = side === lora ? loraStep : stepOf(side, ids, target);
    add('step', 'ms', await time({ours: step, baseline: loraStep}, rounds, kernelsFor('none')));
    const baseline = (await profile(loraStep)).peakBytes;
    const ours = (await profile(step)).peakBytes;
    add('peak-bytes', 'bytes', {ours, baseline});
    const resident = {ours: ours + side.weightBytes, baseline: baseline + lora.weightBytes};
    add('resident-bytes', 'bytes', resident);
    if (side !== lora) side.dispose();
  }
  lora.dispose();
  // What was trained, and the optimizers' moments.
  tf.disposeVariables();
  tf.dispose([ids, target]);
  return rows;
};
