// Of the shipped graph, layer norms included, a gradient is taken.
import '@tfjs-peft/kernels/gradients';
import * as tf from '@tensorflow/tfjs-core';
import {type AdapterConfig, trainer, upgrade} from '@tfjs-peft/layers';
import {buildUseLite} from '../../models/use-lite.js';
import {loadUseLiteGraph, raggedTokens} from '../../models/use-lite-graph.js';
import {profile, time} from '../measure.js';
import {type Row, row} from '../report.js';
import {stepOf} from '../step.js';
import {kernelsFor} from '../stock.js';
import {roundsOf, type Suite} from '../suite.js';
import {ADAPTERS} from './adapters-cases.js';

const [VOCABULARY, WIDTH] = [8000, 512];

/** MoR1E by itself: the graph has all texts' tokens in a row, with no text's own scores at hand. */
const CASES: Record<string, AdapterConfig> = {
  ...ADAPTERS,
  mor1e: {...ADAPTERS.mor1e, intuition: false} as AdapterConfig,
};

/** Sites of the second and last block, by the names of layers and of nodes. */
const LAST_BLOCK = {layers: /^layer_1_/, nodes: /Layer_1\//};

interface Trained {
  step(): tf.Scalar | Promise<tf.Scalar>;
  dispose(): void;
}

/** The rebuild of USE-lite as a LayersModel, whose forward pass is on the tape from end to end. */
async function rebuilt(
  adapter: AdapterConfig,
  ids: tf.Tensor,
  target: tf.Tensor,
  last: boolean,
): Promise<Trained> {
  const model = buildUseLite();
  const peft = await upgrade(model, {targets: last ? [LAST_BLOCK.layers] : 'all-dense', adapter, seed: 1});
  const side = {
    trained: peft.trainableVariables(),
    forward: (input: tf.Tensor, training: boolean) => model.apply(input, {training}) as tf.Tensor,
  };
  return {
    step: stepOf(side, ids, target),
    dispose: () => {
      peft.detach();
      model.dispose();
    },
  };
}

/** USE-lite as shipped: the frozen part by executeAsync, the rest on the tape. */
async function shipped(
  adapter: AdapterConfig,
  ids: tf.Tensor,
  target: tf.Tensor,
  last: boolean,
): Promise<Trained> {
  const model = await loadUseLiteGraph();
  const peft = await upgrade(model, {targets: last ? [LAST_BLOCK.nodes] : 'all-projections', adapter, seed: 1});
  const own = trainer(model);
  const rows = (await ids.array()) as number[][];
  const inputs = raggedTokens(rows, rows[0]!.length);
  const optimizer = tf.train.adam(1e-3, 0.9, 0.999, 1e-7);
  return {
    async step() {
      const {value, grads} = await own.gradients(
        inputs,
        (vectors) => tf.mean(tf.square(tf.sub(vectors as tf.Tensor, target))) as tf.Scalar,
      );
      optimizer.applyGradients(grads as tf.NamedVariableMap);
      tf.dispose(grads);
      return value;
    },
    dispose() {
      optimizer.dispose();
      tf.dispose([inputs.values, inputs.indices]);
      own.dispose();
      peft.detach();
      model.dispose();
    },
  };
}

/**
 * Training steps on USE-lite as its package ships it, batch 32 of 32 tokens, against the same adapter on its rebuild as a LayersModel;
 * `last-block`: with MoLoRA in the second of two blocks only, where the rebuild has the first one on the tape all the same.
 */
export const graphSuite: Suite = async (options) => {
  const rounds = {...roundsOf(options), warmup: options.warmup ?? 1};
  const enter = kernelsFor('none');
  const [batch, tokens] = options.size ?? [32, 32];
  const [ids, target] = tf.tidy(() => [
    tf.randomUniform([batch, tokens], 1, VOCABULARY, 'int32', 1),
    tf.randomNormal([batch, WIDTH], 0, WIDTH ** -0.5, 'float32', 2),
  ]) as [tf.Tensor, tf.Tensor];
  const cases = [
    ...Object.entries(CASES).map(([name, adapter]) => ({name, adapter, last: false})),
    {name: 'last-block', adapter: CASES.molora!, last: true},
  ];
  const rows: Row[] = [];
  for (const {name, adapter, last} of cases) {
    const label = `use-lite-shipped/${name}`;
    if (options.cases && !options.cases.test(label)) continue;
    const baseline = await rebuilt(adapter, ids, target, last);
    const ours = await shipped(adapter, ids, target, last);
    const add = (metric: string, unit: string, figures: Pick<Row, 'ours' | 'baseline' | 'rounds'>) => {
      const baselineName = last ? 'LayersModel, all on the tape' : 'LayersModel';
      rows.push(row({case: label, metric, ...figures, baselineName, unit}));
      options.onRow?.(rows.at(-1)!);
    };
    add('step', 'ms', await time({ours: ours.step, baseline: baseline.step}, rounds, enter));
    const peak = async ({step}: Trained) => (await profile(step)).peakBytes;
    add('peak-bytes', 'bytes', {baseline: await peak(baseline), ours: await peak(ours)});
    ours.dispose();
    baseline.dispose();
  }
  tf.disposeVariables();
  tf.dispose([ids, target]);
  return rows;
};
