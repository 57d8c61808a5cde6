import * as tf from '@tensorflow/tfjs-core';
import {checkBackend} from '../../golden/backend.js';
import {profile, time} from '../measure.js';
import {type Row, row} from '../report.js';
import {type Side, stepOf} from '../step.js';
import {kernelsFor, type Side as Turn} from '../stock.js';
import {roundsOf, type Suite} from '../suite.js';
import {ADAPTERS, adapterSide, composedLime, loopSide} from './adapters-cases.js';
import {useLiteBatch} from './use-lite-batch.js';

interface Contest {
  name: string;
  sides: Record<Turn, Side>;
  baselineName: string;
  enter(turn: Turn): void;
}

const countOf = ({trained}: Side) => trained.reduce((sum, {size}) => sum + size, 0);

async function checkSame(name: string, ours: tf.Tensor, baseline: tf.Tensor): Promise<void> {
  const largest = tf.tidy(() => tf.max(tf.abs(tf.sub(ours, baseline))));
  const off = (await largest.data())[0]!;
  tf.dispose([largest, ours, baseline]);
  checkBackend();
  // The sentence vectors have length 1.
  if (!(off <= 1e-4)) throw new Error(`${name}: ours and the baseline differ by ${off}`);
}

/**
 * Every adapter on USE-lite, batch 32 of 32 tokens (4 of 8 on a GPU), against our own MoLoRA: `step`,
 * `peak-bytes` and `trainable`. LiME also against a MoLoRA that loops over its experts: `lime/loop` with our
 * kernels and repairs on both sides, `lime/stock-loop` with both composed from stock ops.
 */
export const adaptersSuite: Suite = async (options) => {
  const rounds = {...roundsOf(options), warmup: options.warmup ?? 1};
  const {ids, target} = useLiteBatch(options);
  const batch = ids.shape[0]!;
  const rows: Row[] = [];
  const wanted = (name: string) => options.cases?.test(name) ?? true;

  const measure = async ({name, sides, baselineName, enter}: Contest): Promise<void> => {
    const add = (metric: string, unit: string, figures: Pick<Row, Turn | 'rounds'>) => {
      rows.push(row({case: name, metric, ...figures, baselineName, unit}));
      options.onRow?.(rows.at(-1)!);
    };
    const step = {ours: stepOf(sides.ours, ids, target), baseline: stepOf(sides.baseline, ids, target)};
    add('step', 'ms', await time(step, rounds, enter));
    const peaks = {ours: 0, baseline: 0};
    for (const turn of ['baseline', 'ours'] as const) {
      enter(turn);
      peaks[turn] = (await profile(step[turn])).peakBytes;
    }
    add('peak-bytes', 'bytes', peaks);
    add('trainable', 'parameters', {ours: countOf(sides.ours), baseline: countOf(sides.baseline)});
  };

  const same = kernelsFor('none');
  const stock = kernelsFor(options.backend);
  const molora = await adapterSide('molora', batch, options.useLite);
  for (const name of Object.keys(ADAPTERS).filter(wanted)) {
    const ours = name === 'molora' ? molora : await adapterSide(name, batch, options.useLite);
    await measure({name, sides: {ours, baseline: molora}, baselineName: 'molora, ours', enter: same});
    if (ours !== molora) ours.dispose();
  }
  molora.dispose();
  if (wanted('lime/loop')) {
    const ours = await adapterSide('lime', batch, options.useLite);
    const baseline = await loopSide('upgraded', batch, options.useLite);
    await checkSame('lime/loop', baseline.without(ids), baseline.forward(ids, false));
    const baselineName = 'molora in a loop, same kernels';
    await measure({name: 'lime/loop', sides: {ours, baseline}, baselineName, enter: same});
    ours.dispose();
    baseline.dispose();
  }
  if (wanted('lime/stock-loop')) {
    const ours = composedLime(options.useLite);
    const baseline = await loopSide('stock', batch, options.useLite);
    const baselineName = 'molora in a loop, stock';
    // Both are what a user of stock tfjs has.
    const enter = () => stock('baseline');
    await measure({name: 'lime/stock-loop', sides: {ours, baseline}, baselineName, enter});
    stock('ours');
  }
  tf.disposeVariables();
  tf.dispose([ids, target]);
  return rows;
};
