import * as tf from '@tensorflow/tfjs-core';
import {checkBackend} from '../../golden/backend.js';
import {type Profile, profile, time} from '../measure.js';
import {type Row, row} from '../report.js';
import {type Side, stepOf} from '../step.js';
import {kernelsFor, type Side as Turn} from '../stock.js';
import {isGpu, roundsOf, type Suite} from '../suite.js';
import {composedModel, MODEL_CASES, upgradedModel} from './model-cases.js';
import {useLiteBatch} from './use-lite-batch.js';

async function checkSame(name: string, ours: Side, baseline: Side, ids: tf.Tensor): Promise<void> {
  const largest = tf.tidy(() =>
    tf.max(tf.abs(tf.sub(ours.forward(ids, false), baseline.forward(ids, false)))),
  );
  const off = (await largest.data())[0]!;
  largest.dispose();
  checkBackend();
  // The sentence vectors have length 1.
  if (!(off <= 1e-4)) throw new Error(`${name}: ours and the baseline differ by ${off}`);
}

/**
 * USE-lite with every Dense adapted, at batch 32 of 32 tokens (4 of 8 on a GPU), against adapters composed
 * from stock ops on the same model.
 */
export const modelSuite: Suite = async (options) => {
  const rounds = {...roundsOf(options), warmup: options.warmup ?? 1};
  const enter = kernelsFor(options.backend);
  const rows: Row[] = [];
  const {ids, target} = useLiteBatch(options);
  for (const [name, spec] of Object.entries(MODEL_CASES)) {
    if (options.cases && !options.cases.test(name)) continue;
    const baseline = composedModel(spec, options.useLite);
    const ours = await upgradedModel(spec, baseline.values, options.useLite);
    const sides: Record<Turn, Side> = {ours, baseline};
    const add = (metric: string, unit: string, figures: Pick<Row, Turn | 'rounds'>) => {
      rows.push(row({case: name, metric, ...figures, baselineName: 'composed, stock', unit}));
      options.onRow?.(rows.at(-1)!);
    };
    await checkSame(name, ours, baseline, ids);
    const forward = (turn: Turn) => () => tf.tidy(() => sides[turn].forward(ids, false));
    add('forward', 'ms', await time({ours: forward('ours'), baseline: forward('baseline')}, rounds, enter));
    const step = {ours: stepOf(ours, ids, target), baseline: stepOf(baseline, ids, target)};
    add('step', 'ms', await time(step, rounds, enter));
    const profiles = {} as Record<Turn, Profile>;
    for (const turn of ['baseline', 'ours'] as const) {
      enter(turn);
      profiles[turn] = await profile(step[turn]);
    }
    add('kernel-calls', 'calls', {ours: profiles.ours.calls, baseline: profiles.baseline.calls});
    if (isGpu(options.backend)) {
      add('launches', 'calls', {ours: profiles.ours.launches, baseline: profiles.baseline.launches});
    }
    add('peak-bytes', 'bytes', {ours: profiles.ours.peakBytes, baseline: profiles.baseline.peakBytes});
    // The models' weights, and the optimizers' moments.
    tf.disposeVariables();
  }
  tf.dispose([ids, target]);
  return rows;
};
