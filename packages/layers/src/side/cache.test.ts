import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import '@tfjs-peft/kernels/cpu';
import {largestDifference} from '@tfjs-peft/testing/compare';
import {trainer} from '../graph.js';
import {GraphBuilder} from '../graph-model/testing/builder.js';
import {quantizeModel} from '../quantize.js';
import {attachSideNetwork, loadSideNetwork, type SideConfig} from './attach.js';
import type {SidePeft} from './peft.js';
import {normedGraph, normedLayers, stir, X, Y} from './testing/models.js';

beforeAll(() => tf.setBackend('cpu'));

const BLOCK = {width: 4, heads: 2, hidden: 6, seed: 3} as const;
const LAYERS = {...BLOCK, taps: ['norm_1', 'norm_2', 'norm_3']};
const GRAPH = {...BLOCK, taps: [1, 2, 3].map((i) => `block_${i}/norm/out`)};
/** What three taps of a sample take. */
const SAMPLE = 3 * 5 * 8 * 4;

/** How many rows a layer or node has run on since the last call. */
function rowsOf(model: tf.LayersModel): () => number {
  const layer = model.getLayer('block_1');
  const stock = layer.call.bind(layer);
  let rows = 0;
  layer.call = (inputs, kwargs) => {
    rows += [inputs].flat()[0]!.shape[0]!;
    return stock(inputs, kwargs);
  };
  return () => {
    const now = rows;
    rows = 0;
    return now;
  };
}

function compile(model: tf.LayersModel): void {
  model.compile({optimizer: tf.train.adam(0.02), loss: 'meanSquaredError'});
}

test('fit runs the base once for each sample, however samples are batched, and trains as without', async () => {
  const [x, y] = [X(10), Y(10)];
  const trained: Float32Array[] = [];
  for (const cacheBytes of [0, 64e3]) {
    const model = normedLayers();
    const rows = rowsOf(model);
    const side = await attachSideNetwork(model, {...LAYERS, cacheBytes});
    compile(model);
    await model.fit(x, y, {epochs: 3, batchSize: 4, shuffle: false, verbose: 0, validationSplit: 0.2});
    expect(rows()).toBe(cacheBytes === 0 ? 30 : 10);
    expect(side.report().cache).toEqual(
      cacheBytes === 0 ? null : {samples: 10, bytes: 10 * SAMPLE, limit: cacheBytes},
    );
    trained.push(Float32Array.from((model.predict(x) as tf.Tensor).dataSync()));
    // Predictions are no training.
    expect(rows()).toBe(10);
    if (cacheBytes === 0) continue;
    await model.fit(x, y, {epochs: 3, batchSize: 3, shuffle: true, verbose: 0});
    const batches = tf.data.zip({
      xs: tf.data.array(tf.unstack(x)),
      ys: tf.data.array(tf.unstack(y)),
    }) as tf.data.Dataset<{xs: tf.Tensor; ys: tf.Tensor}>;
    await model.fitDataset(batches.shuffle(10, '1').batch(5), {epochs: 2, verbose: 0});
    expect(rows()).toBe(0);
    // A sample in a batch of new ones, twice.
    const [known, fresh] = [tf.slice(x, [3, 0, 0], [1, -1, -1]), tf.ones([1, 5, 8])];
    await model.fit(tf.concat([fresh, known, fresh]), Y(3), {batchSize: 3, verbose: 0, shuffle: false});
    expect(rows()).toBe(1);
    expect(side.report().cache!.samples).toBe(11);
  }
  expect(largestDifference(trained[0]!, trained[1]!)).toBeLessThan(1e-5);
});

test('what is kept is what the base gives, with its masks', async () => {
  const ids = tf.input({shape: [null], name: 'ids', dtype: 'int32'});
  const embedding = tf.layers.embedding({name: 'embedding', inputDim: 11, outputDim: 8, maskZero: true});
  const a = tf.layers.dense({name: 'a', units: 8}).apply(embedding.apply(ids)) as tf.SymbolicTensor;
  const b = tf.layers.dense({name: 'b', units: 8, activation: 'tanh'}).apply(a) as tf.SymbolicTensor;
  const sum = tf.layers.add({name: 'sum'}).apply([a, b]) as tf.SymbolicTensor;
  const model = tf.model({inputs: ids, outputs: [sum, a]});
  const side = await attachSideNetwork(model, {
    ...BLOCK,
    taps: ['embedding', 'b'],
    salient: 'mean',
    cacheBytes: 1e6,
  });
  stir(side.trainableVariables());
  const x = tf.tensor2d([1, 2, 0, 4, 0, 0, 5, 6, 7], [3, 3], 'int32');
  const outputs = () => {
    let values: Float32Array[] = [];
    const {grads, value} = tf.variableGrads(() => {
      const ys = model.apply(x, {training: true}) as tf.Tensor[];
      values = ys.map((each) => Float32Array.from(each.dataSync()));
      return tf.addN(ys.map((each) => tf.sum(tf.square(each)))) as tf.Scalar;
    }, side.trainableVariables());
    return [...values, value.dataSync(), ...Object.values(grads).map((grad) => grad.dataSync())];
  };
  const [first, again] = [outputs(), outputs()];
  expect(side.report().cache!.samples).toBe(3);
  expect(again).toEqual(first);
  // Other rows of other lengths are other samples.
  const longer = tf.pad(x, [
    [0, 0],
    [0, 1],
  ]);
  tf.variableGrads(
    () => tf.sum((model.apply(longer, {training: true}) as tf.Tensor[])[0]!) as tf.Scalar,
    side.trainableVariables(),
  );
  expect(side.report().cache!.samples).toBe(6);
});

test('it holds no more than it may, and goes with the network', async () => {
  const before = tf.memory().numTensors;
  const model = normedLayers();
  const rows = rowsOf(model);
  const side = await attachSideNetwork(model, {...LAYERS, cacheBytes: 4 * SAMPLE + 1});
  compile(model);
  const {optimizer} = model;
  const [x, y] = [X(10), Y(10)];
  await model.fit(x, y, {epochs: 2, batchSize: 5, shuffle: false, verbose: 0});
  expect(rows()).toBe(10 + 6);
  expect(side.report().cache).toMatchObject({samples: 4, bytes: 4 * SAMPLE});
  const held = tf.memory().numTensors;
  side.remove();
  const own = held - tf.memory().numTensors;
  expect(own).toBeGreaterThanOrEqual(4 * 3);
  const again = await attachSideNetwork(model, {...LAYERS, cacheBytes: 1e6});
  await model.fit(x, y, {verbose: 0});
  expect(again.report().cache!.samples).toBe(10);
  optimizer.dispose();
  model.dispose();
  tf.dispose([x, y]);
  expect(tf.memory().numTensors).toBe(before);
});

test('other weights of the base, quantised ones too, make other values', async () => {
  const model = normedLayers();
  const rows = rowsOf(model);
  const side = await attachSideNetwork(model, {...LAYERS, cacheBytes: 1e6});
  compile(model);
  const fit = () => model.fit(X(6), Y(6), {epochs: 2, verbose: 0});
  await fit();
  expect(rows()).toBe(6);
  model.getLayer('block_2').setWeights(model.getLayer('block_3').getWeights());
  await fit();
  expect(rows()).toBe(6);
  await quantizeModel(model, {format: 'int8'});
  await fit();
  expect(side.report().cache!.samples).toBe(6);
  side.disable();
  side.enable();
  const {samples} = side.report().cache!;
  await fit();
  expect(side.report().cache!.samples).toBe(samples);
});

describe('a trainer', () => {
  /** How often the front of a graph has run, and on how many rows. */
  function runsOf(model: GraphModel): () => number[] {
    const stock = model.execute.bind(model);
    let runs: number[] = [];
    model.execute = (inputs, outputs) => {
      runs.push(Object.values(inputs as tf.NamedTensorMap)[0]!.shape[0]!);
      return stock(inputs, outputs);
    };
    return () => {
      const now = runs;
      runs = [];
      return now;
    };
  }

  const fit = async (model: GraphModel, xs: tf.Tensor, ys: tf.Tensor, shuffle: boolean) => {
    const optimizer = tf.train.adam(0.02);
    const training = trainer(model, {loss: 'meanSquaredError', optimizer});
    const {history} = await training.fit({xs, ys}, {epochs: 3, batchSize: 4, seed: 1, shuffle, verbose: 0});
    training.dispose();
    optimizer.dispose();
    return history.loss as number[];
  };

  test('runs the front once for each sample, and trains as without', async () => {
    const [x, y] = [X(10), Y(10)];
    const losses: number[][] = [];
    for (const cacheBytes of [0, 1e6]) {
      const model = await normedGraph().load();
      const side = await attachSideNetwork(model, {...GRAPH, cacheBytes});
      const runs = runsOf(model);
      const before = tf.memory().numTensors;
      losses.push(await fit(model, x, y, true));
      const rows = runs().reduce((sum, each) => sum + each, 0);
      // The first batch is prepared once more, to compile; one sample and two show where samples are.
      if (cacheBytes > 0) {
        expect(rows).toBe(10 + 3);
        expect(side.report().cache).toMatchObject({samples: 10, bytes: 10 * SAMPLE});
        await fit(model, x, y, true);
        // A trainer of its own looks again.
        expect(runs().length).toBeLessThanOrEqual(2);
        expect(tf.memory().numTensors - before).toBe(10 * 3);
      } else {
        expect(rows).toBeGreaterThanOrEqual(30);
        expect(tf.memory().numTensors).toBe(before);
      }
      side.remove();
    }
    expect(largestDifference(losses[0]!, losses[1]!)).toBeLessThan(1e-5);
  });

  test('is refused where the graph has no row for each sample', async () => {
    // A table of positions, which the block behind the last tap reads, has no samples.
    const graph = new GraphBuilder();
    const x = graph.input('x', [-1, 5, 8]);
    const a = graph.node('Tanh', 'a', [x]);
    const b = graph.node('Tanh', 'b', [a]);
    graph.integers('axis', [0]);
    const mean = graph.node('Mean', 'mean', [x, 'axis'], {keep_dims: true});
    const model = await graph.output(graph.node('AddV2', 'y', [b, mean])).load();
    await attachSideNetwork(model, {...BLOCK, taps: ['a', 'b'], cacheBytes: 1e6});
    const given = X(4);
    const before = tf.memory().numTensors;
    await expect(fit(model, given, given, false)).rejects.toThrow(
      /cacheBytes: the base gives or takes \[1,5,8\] for 2 sample\(s\).*Leave cacheBytes out/,
    );
    // Of the optimizer.
    expect(tf.memory().numTensors).toBe(before + 2);
  });
});

test('a stateful base, trainNorms, and what is no number of bytes are refused', async () => {
  const rnn = tf.sequential({
    layers: [
      tf.layers.lstm({
        name: 'lstm',
        units: 4,
        stateful: true,
        returnSequences: true,
        batchInputShape: [2, 3, 4],
      }),
      tf.layers.dense({name: 'last', units: 4}),
    ],
  });
  await expect(attachSideNetwork(rnn, {taps: ['lstm', 'last'], cacheBytes: 1e6})).rejects.toThrow(
    /cacheBytes: layer 'lstm' keeps a state/,
  );
  expect(rnn.trainableWeights).toHaveLength(5);
  const attach = (more: Partial<SideConfig>): Promise<SidePeft> =>
    attachSideNetwork(normedLayers(), {...LAYERS, ...more});
  await expect(attach({cacheBytes: 1e6, trainNorms: true})).rejects.toThrow(/Leave cacheBytes or trainNorms/);
  for (const cacheBytes of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '1' as unknown as number])
    await expect(attach({cacheBytes})).rejects.toThrow(/cacheBytes is .*Set cacheBytes to a whole number/);
});

test('a file does not say how much is kept; who loads it may', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'side-cache-'));
  try {
    const side = await attachSideNetwork(normedLayers(), {...LAYERS, cacheBytes: 1e6});
    await side.save(folder);
    expect((await loadSideNetwork(normedLayers(), folder)).report().cache).toBeNull();
    const loaded = await loadSideNetwork(normedLayers(), folder, {cacheBytes: 1e5});
    expect(loaded.report().cache).toEqual({samples: 0, bytes: 0, limit: 1e5});
  } finally {
    rmSync(folder, {recursive: true, force: true});
  }
});
