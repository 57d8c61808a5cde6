import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/gradients';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {trainer, upgrade} from '../../graph.js';
import {GraphBuilder} from '../testing/builder.js';
import {DIALECTS, X_SHAPE} from '../testing/graphs.js';
import {ragged} from '../testing/ragged.js';

const X = (samples: number, seed = 7) =>
  tf.randomUniform([samples, ...X_SHAPE.slice(1)], -1, 1, 'float32', seed);
const Y = (samples: number, seed = 8) => tf.randomUniform([samples, 3, 5], -1, 1, 'float32', seed);

const ADAPTER = {type: 'molora', experts: 2, rank: 2, alpha: 16} as const;

/** tfjs's own, as importing tfjs-layers later would put it over ours. */
const STOCK_SQUARED_DIFFERENCE: tf.GradConfig = {
  kernelName: 'SquaredDifference',
  inputsToSave: ['a', 'b'],
  gradFunc: (dy, saved) => {
    const [a, b] = saved as [tf.Tensor, tf.Tensor];
    const twice = () => tf.mul(dy as tf.Tensor, tf.mul(tf.sub(a, b), 2));
    return {a: twice, b: () => tf.neg(twice())};
  },
};

describe.each(Object.keys(DIALECTS))('training in the dialect %s', (dialect) => {
  it('lowers the loss, changes nothing else, and keeps its history', async () => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter: ADAPTER, seed: 3});
    const weights = Object.values(
      (model as unknown as {executor: {weightMap: Record<string, tf.Tensor[]>}}).executor.weightMap,
    ).flat();
    const before = await Promise.all(weights.map((weight) => weight.data()));
    const own = trainer(model, {loss: 'meanSquaredError', optimizer: tf.train.adam(0.03), metrics: ['mae']});
    const [xs, ys] = [X(12), Y(12)];
    const history = await own.fit(
      {xs, ys},
      {epochs: 6, batchSize: 5, seed: 1, verbose: 0, validationData: {xs, ys}},
    );
    const {loss, val_loss, mae, val_mae} = history.history as Record<string, number[]>;
    expect(loss).toHaveLength(6);
    expect(loss!.at(-1)).toBeLessThan(0.8 * loss![0]!);
    expect(val_loss!.at(-1)).toBeLessThan(0.8 * val_loss![0]!);
    expect(mae!.at(-1)).toBeLessThan(mae![0]!);
    const evaluated = await own.evaluate({xs, ys}, {batchSize: 4});
    expect(evaluated.loss).toBeCloseTo(val_loss!.at(-1)!, 5);
    expect(evaluated.mae).toBeCloseTo(val_mae!.at(-1)!, 5);
    const [mine, stock] = [await own.predict(xs), model.predict(xs)] as tf.Tensor[];
    expect(await mine!.data()).toEqual(await stock!.data());
    const after = await Promise.all(weights.map((weight) => weight.data()));
    expect(after).toEqual(before);
    peft.detach();
  });

  it('has the gradients of finite differences', async () => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter: ADAPTER, seed: 3});
    const [x, y] = [X(2), Y(2)];
    peft.trainableVariables().forEach((variable, i) => {
      tf.tidy(() => variable.assign(tf.randomUniform(variable.shape, -0.5, 0.5, 'float32', 20 + i)));
    });
    const own = trainer(model);
    const lossOf = (outputs: tf.Tensor | tf.Tensor[]) =>
      tf.losses.meanSquaredError(y, outputs as tf.Tensor) as tf.Scalar;
    const {grads} = await own.gradients(x, lossOf);
    const value = async () => {
      const out = (await own.predict(x)) as tf.Tensor;
      const [loss] = await lossOf(out).data();
      return loss!;
    };
    for (const variable of peft.trainableVariables()) {
      const direction = tf.randomUniform(variable.shape, -1, 1, 'float32', 5);
      const [want] = await tf.sum(tf.mul(grads[variable.name]!, direction)).data();
      const start = variable.clone();
      const at = async (step: number) => {
        tf.tidy(() => variable.assign(tf.add(start, tf.mul(direction, step))));
        const result = await value();
        variable.assign(start);
        return result;
      };
      const difference = ((await at(0.01)) - (await at(-0.01))) / 0.02;
      expect(Math.abs(difference - want!)).toBeLessThan(1e-3 + 0.01 * Math.abs(want!));
    }
  });
});

describe('a trainer', () => {
  it('trains a head alone, on any node', async () => {
    const model = await DIALECTS.fused!().load();
    const head = tfl.layers.dense({units: 2, activation: 'softmax'});
    const own = trainer(model, {
      loss: 'sparseCategoricalCrossentropy',
      optimizer: tf.train.adam(0.05),
      metrics: ['accuracy'],
      outputs: 'first/Relu',
      head,
    });
    const xs = X(8);
    // The node folds three steps of time into rows, so a batch of one sample has three targets.
    const batches = Array.from({length: 8}, (_, i) => i);
    const data = {
      *[Symbol.iterator]() {
        for (const i of batches) {
          const x = tf.slice(xs, [i], [1]);
          const ys = tf.tidy(() => tf.cast(tf.greater(tf.sum(tf.reshape(x, [3, 4]), 1), 0), 'float32'));
          yield {xs: x, ys: tf.tidy(() => tf.reshape(ys, [3, 1]))};
        }
      },
    };
    const {history} = await own.fit(data, {epochs: 8, verbose: 0});
    const losses = history.loss as number[];
    expect(losses.at(-1)).toBeLessThan(0.8 * losses[0]!);
    expect(own.trainableVariables()).toHaveLength(2);
    own.dispose();
    const still = trainer(model, {
      loss: 'sparseCategoricalCrossentropy',
      optimizer: tf.train.sgd(0),
      outputs: 'first/Relu',
      head: tfl.layers.dense({units: 2, activation: 'softmax'}),
    });
    const plain = (await still.fit(data, {verbose: 0})).history.loss![0] as number;
    const weighed = (await still.fit(data, {verbose: 0, classWeight: {0: 3, 1: 3}})).history
      .loss![0] as number;
    expect(weighed).toBeCloseTo(3 * plain, 4);
    expect(head.getWeights()[0]!.isDisposed).toBe(false);
  });

  it('trains behind a dynamic front, whose inputs have no row for each sample', async () => {
    const model = await ragged().load();
    const batch = () => ({
      xs: {
        values: tf.tensor1d([1, 0, 2, 3, 0, 4, 0, 5]),
        rows: tf.tensor1d([0, 0, 0, 1, 1, 1, 2, 2], 'int32'),
      },
      ys: tf.tensor2d([[1], [0], [1]]),
    });
    const {xs} = batch();
    const before = (await model.executeAsync(xs)) as tf.Tensor;
    await upgrade(model, {adapter: {type: 'lora', rank: 2}, seed: 1});
    const own = trainer(model, {
      loss: 'meanSquaredError',
      optimizer: tf.train.adam(0.05),
      head: tfl.layers.dense({units: 1, kernelInitializer: tfl.initializers.glorotUniform({seed: 1})}),
    });
    expect(own.preflight()).toEqual([]);
    const bare = trainer(model);
    expect(await ((await bare.predict(xs)) as tf.Tensor).data()).toEqual(await before.data());
    const data = {
      async *[Symbol.asyncIterator]() {
        for (let i = 0; i < 5; i++) yield batch();
      },
    };
    const {history} = await own.fit(data, {epochs: 5, verbose: 0});
    const losses = history.loss as number[];
    expect(losses.at(-1)).toBeLessThan(0.5 * losses[0]!);
  });

  it('names the dynamic op behind a site', async () => {
    const model = await ragged({dynamicBehind: true}).load();
    await upgrade(model, {adapter: {type: 'lora', rank: 2}});
    expect(() => trainer(model)).toThrow(
      /Node 'late' \(Where\) is dynamic and comes after trained nodes: 'product'/,
    );
  });

  it('trains a variable that was put among the weights', async () => {
    const model = await DIALECTS.fused!().load();
    const {weightMap} = (model as unknown as {executor: {weightMap: Record<string, tf.Tensor[]>}}).executor;
    const variable = tf.variable(weightMap['second/w']![0]!);
    weightMap['second/w'] = [variable];
    const own = trainer(model, {loss: 'meanSquaredError', optimizer: tf.train.sgd(0.1)});
    expect(own.trainableVariables()).toEqual([variable]);
    const before = await variable.data();
    const [xs, ys] = [X(4), Y(4)];
    const {history} = await own.fit({xs, ys}, {epochs: 5, verbose: 0});
    const losses = history.loss as number[];
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    expect(await variable.data()).not.toEqual(before);
  });

  it('stops early and adds the losses of routers', async () => {
    const model = await DIALECTS.batched!().load();
    await upgrade(model, {
      adapter: {type: 'molora', experts: 3, rank: 2, router: {type: 'noisy-top-k', topK: 1, balance: 1}},
      seed: 2,
    });
    const [x, y] = [X(3), Y(3)];
    const own = trainer(model);
    const zero = await own.gradients(x, (out) => tf.mul(tf.sum(out as tf.Tensor), 0) as tf.Scalar);
    expect((await zero.value.data())[0]).toBeGreaterThan(0);
    const flat = trainer(model, {
      loss: 'meanSquaredError',
      optimizer: tf.train.sgd(0),
    });
    const {history} = await flat.fit(
      {xs: x, ys: y},
      {
        epochs: 9,
        verbose: 0,
        validationData: {xs: x, ys: y},
        callbacks: [tfl.callbacks.earlyStopping({monitor: 'val_loss', patience: 1})],
      },
    );
    expect(history.loss!.length).toBeLessThan(9);
  });

  it('trains 100 steps and gives everything back', async () => {
    const model = await DIALECTS.tensordot!().load();
    const peft = await upgrade(model, {adapter: ADAPTER, seed: 3});
    const [x, y] = [X(2), Y(2)];
    const {numTensors} = tf.memory();
    const head = tfl.layers.dense({units: 5});
    const own = trainer(model, {
      loss: 'meanSquaredError',
      optimizer: 'adam',
      metrics: ['mae'],
      head,
    });
    await own.fit({xs: x, ys: y}, {epochs: 1, verbose: 0});
    const during = tf.memory().numTensors;
    await own.fit({xs: x, ys: y}, {epochs: 100, verbose: 0});
    await own.evaluate({xs: x, ys: y});
    tf.dispose(await own.predict(x));
    tf.dispose(await own.gradients(x, (out) => tf.sum(out as tf.Tensor) as tf.Scalar));
    expect(tf.memory().numTensors).toBe(during);
    own.dispose();
    head.dispose();
    expect(tf.memory().numTensors).toBe(numTensors);
    peft.detach();
  });

  it('trains two models in turn, a stock one between them', async () => {
    const [first, second, stock] = [
      await DIALECTS.fused!().load(),
      await DIALECTS.tensordot!().load(),
      await DIALECTS.fused!().load(),
    ];
    const [xs, ys] = [X(4), Y(4)];
    const want = await (stock.predict(xs) as tf.Tensor).data();
    const alone = async (model: typeof first, turns: (() => Promise<void>)[]) => {
      await upgrade(model, {adapter: ADAPTER, seed: 3});
      const own = trainer(model, {loss: 'meanSquaredError', optimizer: tf.train.adam(0.02)});
      const losses: number[] = [];
      for (let i = 0; i < 3; i++) {
        const {history} = await own.fit({xs, ys}, {shuffle: false, verbose: 0});
        losses.push(history.loss![0] as number);
        for (const turn of turns) await turn();
      }
      return losses;
    };
    const reference = await alone(await DIALECTS.fused!().load(), []);
    await upgrade(second, {adapter: {type: 'lora', rank: 1}});
    const other = trainer(second, {loss: 'meanSquaredError', optimizer: 'sgd'});
    const losses = await alone(first, [
      async () => void (await other.fit({xs, ys}, {verbose: 0})),
      async () => expect(await (stock.predict(xs) as tf.Tensor).data()).toEqual(want),
    ]);
    expect(losses).toEqual(reference);
  });

  it('has the right gradient of a layer norm, whatever was imported first', async () => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, 4]);
    graph.weight('w', [4, 4]);
    graph.weight('small', [], {values: [1e-5]});
    graph.integers('last', [-1]);
    graph.node('MatMul', 'product', ['x', 'w'], {transpose_a: false, transpose_b: false});
    graph.node('Mean', 'mean', ['product', 'last'], {keep_dims: true});
    graph.node('SquaredDifference', 'square', ['product', 'mean']);
    graph.node('Mean', 'variance', ['square', 'last'], {keep_dims: true});
    graph.node('AddV2', 'some', ['variance', 'small']);
    graph.node('Rsqrt', 'scale', ['some']);
    graph.node('Mul', 'scaled', ['product', 'scale']);
    const model = await graph.output('scaled').load();
    const peft = await upgrade(model, {adapter: {type: 'lora', rank: 1}, seed: 1});
    tf.unregisterGradient('SquaredDifference');
    tf.registerGradient(STOCK_SQUARED_DIFFERENCE);
    const own = trainer(model);
    expect(own.preflight()).toEqual([]);
    const x = tf.randomNormal([3, 4], 0, 1, 'float32', 1);
    const loss = (out: tf.Tensor | tf.Tensor[]) => tf.sum(tf.pow(out as tf.Tensor, 3)) as tf.Scalar;
    const {grads} = await own.gradients(x, loss);
    const b = peft.trainableVariables()[1]!;
    const direction = tf.reshape(tf.range(0, b.size), b.shape);
    const at = async (step: number) => {
      tf.tidy(() => b.assign(tf.mul(direction, step)));
      return (await loss(await own.predict(x)).data())[0]!;
    };
    const difference = ((await at(0.01)) - (await at(-0.01))) / 0.02;
    const [wanted] = await tf.sum(tf.mul(grads[b.name]!, direction)).data();
    expect(Math.abs(difference - wanted!)).toBeLessThan(0.02 * Math.abs(wanted!));
  });

  it('names ops without a right gradient, and who supplies it', async () => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, 4]);
    graph.weight('w', [4, 4]);
    graph.node('MatMul', 'product', ['x', 'w'], {transpose_a: false, transpose_b: false});
    graph.integers('ids', [0, 1, 1]);
    graph.integers('segments', [0, 0, 1]);
    graph.node('SparseSegmentSum', 'sums', ['product', 'ids', 'segments']);
    const model = await graph.output(graph.node('Square', 'y', ['sums'])).load();
    await upgrade(model, {adapter: {type: 'lora', rank: 1}});
    const own = trainer(model, {loss: 'meanSquaredError'});
    expect(own.preflight()).toEqual([
      {node: 'sums', op: 'SparseSegmentSum', kernel: 'SparseSegmentSum', supplied: false, by: null},
    ]);
    await expect(
      own.gradients(tf.ones([1, 4]), (out) => tf.sum(out as tf.Tensor) as tf.Scalar),
    ).rejects.toThrow(/'sums' \(SparseSegmentSum\)/);
  });
});
