import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/gradients';
import {type GraphModel, loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import {type TrainerOptions, trainer, upgrade} from '../../graph.js';
import {GraphBuilder} from '../testing/builder.js';

/**
 * x [-1, 8] to boxes [-1, 4], scores [-1, 3] and steps [-1, 2, 3], by the names of a signature
 * that are not those of the nodes.
 */
async function several(): Promise<GraphModel> {
  const graph = new GraphBuilder();
  graph.input('x', [-1, 8]);
  const product = {transpose_a: false, transpose_b: false};
  for (const [name, width] of [
    ['b', 4],
    ['s', 3],
    ['t', 6],
  ] as const) {
    graph.weight(`${name}/w`, [8, width]);
    graph.node('MatMul', `${name}/MatMul`, ['x', `${name}/w`], product);
  }
  graph.integers('t/shape', [-1, 2, 3]);
  graph.node('Reshape', 't/Reshape', ['t/MatMul', 't/shape']);
  for (const node of ['b/MatMul', 's/MatMul', 't/Reshape']) graph.output(node);
  const {weightData, ...artifacts} = graph.artifacts();
  const outputs = {
    boxes: {name: 'b/MatMul:0', dtype: 'DT_FLOAT'},
    scores: {name: 's/MatMul:0', dtype: 'DT_FLOAT'},
    steps: {name: 't/Reshape:0', dtype: 'DT_FLOAT'},
  };
  const signature = {...artifacts.signature, outputs};
  const model = await loadGraphModel(
    tf.io.fromMemory({...structuredClone(artifacts), signature, weightData: weightData!}),
  );
  await upgrade(model, {targets: 'all-projections', adapter: {type: 'lora', rank: 2}, seed: 1});
  return model;
}

const X = () => tf.randomUniform([8, 8], -1, 1, 'float32', 1);
const Y = {
  boxes: () => tf.fill([8, 4], 2),
  scores: () => tf.fill([8, 3], -1),
  steps: () => tf.fill([8, 2, 3], 3),
};
const mse = (y: tf.Tensor, p: tf.Tensor) => tf.losses.meanSquaredError(y, p).dataSync()[0]!;
const mae = (y: tf.Tensor, p: tf.Tensor) => tf.losses.absoluteDifference(y, p).dataSync()[0]!;

describe('a trainer with several outputs', () => {
  it('has one key for each, and a total that is their sum, everywhere', async () => {
    const model = await several();
    const outputs = ['boxes', 'scores', 'steps'];
    const training = trainer(model, {
      outputs,
      loss: 'meanSquaredError',
      metrics: ['mae'],
      optimizer: tf.train.sgd(0),
    });
    const predicted = (await training.predict(X())) as tf.Tensor[];
    const ys = [Y.boxes(), Y.scores(), Y.steps()];
    const losses = ys.map((y, i) => mse(y, predicted[i]!));
    const wanted: Record<string, number> = {loss: losses.reduce((a, b) => a + b)};
    for (const [i, name] of outputs.entries()) {
      wanted[`${name}_loss`] = losses[i]!;
      wanted[`${name}_mae`] = mae(ys[i]!, predicted[i]!);
    }
    const evaluated = await training.evaluate({xs: X(), ys}, {batchSize: 3});
    const {history} = await training.fit({xs: X(), ys}, {verbose: 0, validationData: {xs: X(), ys}});
    expect(Object.keys(evaluated).sort()).toEqual(Object.keys(wanted).sort());
    for (const [name, value] of Object.entries(wanted)) {
      for (const found of [evaluated[name], history[name]![0], history[`val_${name}`]![0]]) {
        expect(Math.abs((found as number) - value)).toBeLessThan(1e-4 * value);
      }
    }
  });

  it('takes targets by name or in order, as many as there are', async () => {
    const model = await several();
    const of = (outputs?: string[]) =>
      trainer(model, {...(outputs && {outputs}), loss: 'meanSquaredError', optimizer: tf.train.sgd(0)});
    const inOrder = await of(['scores', 'boxes']).evaluate({xs: X(), ys: [Y.scores(), Y.boxes()]});
    const byName = {boxes: Y.boxes(), scores: Y.scores()};
    expect(await of(['scores', 'boxes']).evaluate({xs: X(), ys: byName})).toEqual(inOrder);
    const byNode = {'b/MatMul': Y.boxes(), 's/MatMul': Y.scores()};
    expect(await of(['scores', 'boxes']).evaluate([{xs: X(), ys: byNode}])).toEqual(inOrder);
    const nodes = await of(['s/MatMul', 'b/MatMul']).evaluate({xs: X(), ys: byName});
    expect(nodes['s/MatMul_loss']).toBe(inOrder.scores_loss);
    const all = await of().evaluate({xs: X(), ys: {...byName, steps: Y.steps()}});
    expect(Object.keys(all)).toEqual(['loss', 'boxes_loss', 'scores_loss', 'steps_loss']);
    const wrong: [object, RegExp][] = [
      [[Y.boxes()], /ys: got a list of 1, but the number of outputs is 3/],
      [Y.boxes(), /ys: got one value, but the trainer has 3 outputs/],
      [byName, /ys: the output 'steps' has no value/],
      [{...byName, steps: Y.steps(), other: Y.steps()}, /no output 'other'/],
      [{...byName, steps: Y.steps(), constructor: Y.steps()}, /no output 'constructor'/],
    ];
    for (const [ys, message] of wrong) {
      const error = await of()
        .fit({xs: X(), ys: ys as tf.Tensor[]}, {verbose: 0})
        .catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ConfigError);
      expect(String(error)).toMatch(message);
    }
  });

  it('takes losses and metrics by name, and refuses names that it does not know', async () => {
    const model = await several();
    const outputs = ['boxes', 'scores'];
    const training = trainer(model, {
      outputs,
      loss: {
        scores: 'meanAbsoluteError',
        's/MatMul': 'meanAbsoluteError',
        boxes: 'meanSquaredError',
      } as never,
      metrics: {scores: ['mse', 'mae']} as never,
    });
    const [boxes, scores] = (await training.predict(X())) as tf.Tensor[];
    const evaluated = await training.evaluate({xs: X(), ys: {boxes: Y.boxes(), scores: Y.scores()}});
    expect(Object.keys(evaluated)).toEqual(['loss', 'boxes_loss', 'scores_loss', 'scores_mse', 'scores_mae']);
    expect(evaluated.boxes_loss).toBeCloseTo(mse(Y.boxes(), boxes!), 4);
    expect(evaluated.scores_loss).toBeCloseTo(mae(Y.scores(), scores!), 4);
    const make = (options: object) => () => trainer(model, {outputs, ...options} as TrainerOptions);
    expect(make({loss: {boxes: 'meanSquaredError'}})).toThrow(/loss: the output 'scores' has no value/);
    expect(make({loss: ['meanSquaredError']})).toThrow(
      /loss: got a list of 1, but the number of outputs is 2/,
    );
    expect(make({loss: {boxes: 'meanSquaredError', toString: 'meanSquaredError'}})).toThrow(/'toString'/);
    expect(make({loss: 'meanSquaredError', metrics: {box: 'mae'}})).toThrow(/metrics: .* no output 'box'/);
  });

  it('weighs samples and classes of the outputs that are named', async () => {
    const model = await several();
    const training = trainer(model, {
      outputs: ['boxes', 'steps'],
      loss: 'meanSquaredError',
      optimizer: tf.train.sgd(0),
    });
    const [xs, ys] = [X(), {boxes: Y.boxes(), steps: Y.steps()}];
    const plain = await training.evaluate({xs, ys});
    const half = tf.fill([8], 0.5);
    const steps = await training.evaluate({xs, ys, sampleWeights: {steps: half}});
    expect(steps.boxes_loss).toBe(plain.boxes_loss);
    expect(steps.steps_loss).toBeCloseTo(plain.steps_loss! / 2, 5);
    const byStep = tf.tile(tf.tensor2d([[1, 0]]), [8, 1]);
    const {history} = await training.fit({xs, ys, sampleWeights: [half, byStep]}, {verbose: 0});
    const first = (await training.predict(xs)) as tf.Tensor[];
    const some = tf.slice(first[1]!, [0, 0, 0], [8, 1, 3]);
    expect(history.steps_loss![0]).toBeCloseTo(mse(tf.fill([8, 1, 3], 3), some) / 2, 4);
    const all = await training.evaluate({xs, ys, sampleWeights: half});
    expect(all.loss).toBeCloseTo(plain.loss! / 2, 4);
  });

  it('lets early stopping watch the total', async () => {
    const training = trainer(await several(), {
      outputs: ['boxes', 'scores'],
      loss: 'meanSquaredError',
      optimizer: tf.train.sgd(0.05),
    });
    const ys = {boxes: Y.boxes(), scores: tf.fill([8, 3], 40)};
    const validationData = {xs: X(), ys: {boxes: Y.boxes(), scores: tf.fill([8, 3], -40)}};
    const callbacks = tfl.callbacks.earlyStopping({monitor: 'val_loss', patience: 1});
    const {history} = await training.fit({xs: X(), ys}, {epochs: 12, verbose: 0, validationData, callbacks});
    expect(history.val_loss!.length).toBeLessThan(5);
  });

  it('calls an output as its head, if that was given a name', async () => {
    const model = await several();
    const [boxes, scores] = [Y.boxes(), Y.scores()];
    const head = (units: number, name?: string) => tfl.layers.dense({units, ...(name && {name})});
    const keys = async (options: TrainerOptions, ys: Record<string, tf.Tensor>) =>
      Object.keys(await trainer(model, {loss: 'meanSquaredError', ...options}).evaluate({xs: X(), ys}));
    const outputs = ['boxes', 'scores'];
    const named = {outputs, head: [head(4, 'A'), head(3, 'B')]};
    expect(await keys(named, {A: boxes, B: scores})).toEqual(['loss', 'A_loss', 'B_loss']);
    expect(await keys(named, {boxes, scores})).toEqual(['loss', 'A_loss', 'B_loss']);
    const unnamed = {outputs, head: [head(4), null]};
    expect(await keys(unnamed, {boxes, scores})).toEqual(['loss', 'boxes_loss', 'scores_loss']);
    const twice = {outputs: ['boxes', 'boxes'], head: [head(4, 'A'), head(3, 'B')]};
    expect(await keys(twice, {A: boxes, B: scores})).toEqual(['loss', 'A_loss', 'B_loss']);
    const whole = {outputs, head: tfl.layers.concatenate()};
    expect(await keys(whole, {'boxes+scores': tf.ones([8, 7])})).toEqual(['loss']);
    const alike = {outputs, head: [head(4, 'A'), head(3, 'A')]};
    expect(() => trainer(model, alike)).toThrow(/two heads have the name 'A'/);
  });

  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])('knows no node %s', async (name) => {
    const model = await several();
    expect(() => trainer(model, {outputs: name})).toThrow(`the graph has no node '${name}'`);
    const fed = trainer(model).predict({[name]: tf.ones([1, 8])});
    await expect(fed).rejects.toThrow(`no input '${name}'`);
  });
});
