// Of the shipped graph, layer norms included, a gradient is taken.
import '@tfjs-peft/kernels/gradients';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {type AdapterConfig, type Targets, trainer, upgrade} from '@tfjs-peft/layers/graph';
import {buildUseLite} from '../../../data/models/use-lite.js';
import {loadUseLiteGraph, raggedTokens} from '../../../data/models/use-lite-graph.js';
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

/** The nodes of the second and last block. */
const LAST_BLOCK = /Layer_1\//;

interface Trained {
  step(): tf.Scalar | Promise<tf.Scalar>;
  dispose(): void;
}

type Loss = (vectors: tf.Tensor) => tf.Scalar;

const lossTo =
  (target: tf.Tensor): Loss =>
  (vectors) =>
    tf.mean(tf.square(tf.sub(vectors, target))) as tf.Scalar;

const adam = (): tf.Optimizer => tf.train.adam(1e-3, 0.9, 0.999, 1e-7);

function update(
  optimizer: tf.Optimizer,
  {value, grads}: {value: tf.Scalar; grads: tf.NamedTensorMap},
): tf.Scalar {
  optimizer.applyGradients(grads as never);
  tf.dispose(grads);
  return value;
}

/** The rebuild of USE-lite as a LayersModel. */
async function rebuilt(adapter: AdapterConfig, ids: tf.Tensor, target: tf.Tensor): Promise<Trained> {
  const model = buildUseLite();
  const peft = await upgrade(model, {targets: 'all-dense', adapter, seed: 1});
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

async function inputsOf(ids: tf.Tensor): Promise<ReturnType<typeof raggedTokens>> {
  const rows = (await ids.array()) as number[][];
  return raggedTokens(rows, rows[0]!.length);
}

/** USE-lite as shipped, by our trainer: the frozen part by executeAsync, the rest on the tape. */
async function shipped(
  adapter: AdapterConfig,
  ids: tf.Tensor,
  target: tf.Tensor,
  targets: Targets,
): Promise<Trained> {
  const model = await loadUseLiteGraph();
  const peft = await upgrade(model, {targets, adapter, seed: 1});
  const own = trainer(model);
  const inputs = await inputsOf(ids);
  const optimizer = adam();
  const loss = lossTo(target);
  return {
    step: async () => update(optimizer, await own.gradients(inputs, (vectors) => loss(vectors as tf.Tensor))),
    dispose() {
      optimizer.dispose();
      tf.dispose([inputs.values, inputs.indices]);
      own.dispose();
      peft.detach();
      model.dispose();
    },
  };
}

/** The same, with all on the tape that can be: tfjs's own executor, fed with what the dynamic part gives. */
async function onTape(
  adapter: AdapterConfig,
  ids: tf.Tensor,
  target: tf.Tensor,
  targets: Targets,
): Promise<Trained> {
  const model = await loadUseLiteGraph();
  const fed = await crossingOf(model, adapter);
  const peft = await upgrade(model, {targets, adapter, seed: 1});
  const inputs = await inputsOf(ids);
  const optimizer = adam();
  const loss = lossTo(target);
  return {
    async step() {
      const tensors = (await model.executeAsync(inputs, fed)) as tf.Tensor[];
      const feeds = Object.fromEntries(fed.map((name, i) => [name, tensors[i]!]));
      const gradients = tf.variableGrads(
        () => loss(model.execute(feeds, model.outputNodes) as tf.Tensor),
        peft.trainableVariables(),
      );
      tf.dispose(tensors);
      return update(optimizer, gradients);
    },
    dispose() {
      optimizer.dispose();
      tf.dispose([inputs.values, inputs.indices]);
      peft.detach();
      model.dispose();
    },
  };
}

/** The tensors behind the dynamic part, which lies in front of the first projection. */
async function crossingOf(model: GraphModel, adapter: AdapterConfig): Promise<string[]> {
  const peft = await upgrade(model, {targets: 'all-projections', adapter});
  const own = trainer(model);
  const names = own.crossing;
  own.dispose();
  peft.detach();
  return names;
}

/**
 * Training steps on USE-lite as its package ships it, batch 32 of 32 tokens, against the same adapter on its
 * rebuild as a LayersModel; `last-block`: with MoLoRA in the second of two blocks only, against MoLoRA
 * everywhere with all on the tape; `last-block/same-sites`: against the same sites with all on the tape.
 */
export const graphSuite: Suite = async (options) => {
  const rounds = {...roundsOf(options), warmup: options.warmup ?? 1};
  const enter = kernelsFor('none');
  const [batch, tokens] = options.size ?? [32, 32];
  const [ids, target] = tf.tidy(() => [
    tf.randomUniform([batch, tokens], 1, VOCABULARY, 'int32', 1),
    tf.randomNormal([batch, WIDTH], 0, WIDTH ** -0.5, 'float32', 2),
  ]) as [tf.Tensor, tf.Tensor];
  type Make = (adapter: AdapterConfig) => Promise<Trained>;
  const ours =
    (targets: Targets): Make =>
    (adapter) =>
      shipped(adapter, ids, target, targets);
  const taped =
    (targets: Targets): Make =>
    (adapter) =>
      onTape(adapter, ids, target, targets);
  const layers: Make = (adapter) => rebuilt(adapter, ids, target);
  const cases = [
    ...Object.entries(CASES).map(([name, adapter]) => ({
      name,
      adapter,
      ours: ours('all-projections'),
      baseline: layers,
      baselineName: 'LayersModel',
    })),
    {
      name: 'last-block',
      adapter: CASES.molora!,
      ours: ours([LAST_BLOCK]),
      baseline: taped('all-projections'),
      baselineName: 'all sites, all on the tape',
    },
    {
      name: 'last-block/same-sites',
      adapter: CASES.molora!,
      ours: ours([LAST_BLOCK]),
      baseline: taped([LAST_BLOCK]),
      baselineName: 'all on the tape',
    },
  ];
  const rows: Row[] = [];
  for (const {name, adapter, baselineName, ...make} of cases) {
    const label = `use-lite-shipped/${name}`;
    if (options.cases && !options.cases.test(label)) continue;
    const sides = {baseline: await make.baseline(adapter), ours: await make.ours(adapter)};
    const add = (metric: string, unit: string, figures: Pick<Row, 'ours' | 'baseline' | 'rounds'>) => {
      rows.push(row({case: label, metric, ...figures, baselineName, unit}));
      options.onRow?.(rows.at(-1)!);
    };
    add('step', 'ms', await time({ours: sides.ours.step, baseline: sides.baseline.step}, rounds, enter));
    const peak = async ({step}: Trained) => (await profile(step)).peakBytes;
    add('peak-bytes', 'bytes', {baseline: await peak(sides.baseline), ours: await peak(sides.ours)});
    sides.ours.dispose();
    sides.baseline.dispose();
  }
  tf.disposeVariables();
  tf.dispose([ids, target]);
  return rows;
};
