import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/gradients';
import {largestDifference} from '@tfjs-peft/testing/compare';
import {packedOf} from '../core/tfjs/packed-variable.js';
import {trainer} from '../graph.js';
import {upgrade} from '../index.js';
import {dequantizeModel, gnpIqCallback, quantizeModel} from '../quantize.js';
import {attachSideNetwork, type GraphSideConfig, loadSideNetwork} from './attach.js';
import type {SidePeft} from './peft.js';
import {normedGraph, normedLayers, stir, X, Y} from './testing/models.js';

/** MP-ISMoE: a quantised base, its layer norms in full precision, and a side mixture. */
let folder: string;

beforeAll(async () => {
  await tf.setBackend('cpu');
  folder = mkdtempSync(join(tmpdir(), 'mp-ismoe-'));
});
afterAll(() => rmSync(folder, {recursive: true, force: true}));

type Model = tf.LayersModel | GraphModel;

const INT4 = {format: {type: 'int4', group: 4}} as const;
const BLOCK = {width: 4, heads: 2, hidden: 6, seed: 3} as const;
const predict = (model: Model, x: tf.Tensor) => Float32Array.from((model.predict(x) as tf.Tensor).dataSync());
const attach = (model: Model, config: GraphSideConfig) =>
  attachSideNetwork(model as GraphModel, config) as Promise<SidePeft<Model>>;

async function fitGraph(model: Model, xs: tf.Tensor, ys: tf.Tensor): Promise<number[]> {
  const training = trainer(model as GraphModel, {
    loss: 'meanSquaredError',
    optimizer: tf.train.adam(0.02),
  });
  const {history} = await training.fit({xs, ys}, {epochs: 16, shuffle: false, verbose: 0});
  training.dispose();
  return history.loss as number[];
}

async function fitLayers(model: Model, x: tf.Tensor, y: tf.Tensor): Promise<number[]> {
  const own = model as tf.LayersModel;
  own.compile({optimizer: tf.train.adam(0.02), loss: 'meanSquaredError'});
  return (await own.fit(x, y, {epochs: 16, verbose: 0, shuffle: false})).history.loss as number[];
}

const packedIn = (model: Model) =>
  ('modelSignature' in model
    ? Object.values((model as GraphModel).weights).flat()
    : (model as tf.LayersModel).weights.map((weight) => weight.read())
  ).filter((weight) => packedOf(weight) !== undefined).length;

const graphTaps = (leaf: string) => [1, 2, 3].map((i) => `block_${i}/${leaf}`);

// Taps at a product, its bias and its activation: at a packed weight, one node does the work of all three.
const cases: [
  string,
  {make(): Promise<Model>; config: GraphSideConfig; fit: typeof fitGraph; packed: number},
][] = [
  [
    'a LayersModel',
    {
      make: async () => normedLayers(),
      config: {...BLOCK, taps: ['norm_1', 'norm_2', 'norm_3']},
      fit: fitLayers,
      packed: 4,
    },
  ],
  [
    'a Sequential, at its Dense layers',
    {
      make: async () => tf.sequential({layers: normedLayers(3, {norms: false}).layers}) as tf.LayersModel,
      config: {...BLOCK, taps: ['block_1', 'block_2', 'block_3']},
      fit: fitLayers,
      packed: 4,
    },
  ],
  ...['norm/out', 'out', 'Add', 'MatMul'].map((leaf): (typeof cases)[number] => [
    `a GraphModel, at ${leaf}`,
    {
      make: () => normedGraph().load(),
      config: {...BLOCK, taps: graphTaps(leaf)},
      fit: fitGraph,
      packed: 4,
    },
  ]),
];

describe.each(cases)('%s', (label, {make, config, fit, packed}) => {
  test('is quantised before or after, computes the same, and stays quantised', async () => {
    const x = X();
    const outputs: Float32Array[] = [];
    for (const order of ['before', 'after', 'dequantised']) {
      const model = await make();
      if (order === 'before') await quantizeModel(model, INT4);
      const side = await attach(model, config);
      stir(side.trainableVariables());
      const plain = predict(model, x);
      if (order !== 'before') {
        await quantizeModel(model, INT4);
        expect(largestDifference(predict(model, x), plain)).toBeGreaterThan(1e-3);
      }
      if (order === 'dequantised') await dequantizeModel(model);
      expect(packedIn(model)).toBe(order === 'dequantised' ? 0 : packed);
      outputs.push(predict(model, x));
      side.remove();
      const base = predict(model, x);
      const twin = await make();
      await quantizeModel(twin, INT4);
      expect(largestDifference(base, predict(twin, x))).toBeLessThan(1e-5);
    }
    expect(largestDifference(outputs[0]!, outputs[1]!)).toBeLessThan(1e-5);
    expect(largestDifference(outputs[0]!, outputs[2]!)).toBeLessThan(1e-5);
  });

  test.each([false, true])('is trained as on the dequantised base (quantised after: %s)', async (after) => {
    const [x, y] = [X(8), Y(8)];
    const losses: number[][] = [];
    for (const plain of [false, true]) {
      const model = await make();
      if (!after) await quantizeModel(model, INT4);
      const side = await attach(model, config);
      if (after) await quantizeModel(model, INT4);
      if (plain) await dequantizeModel(model);
      const before = side.trainableVariables().length;
      losses.push(await fit(model, x, y));
      expect(side.trainableVariables()).toHaveLength(before);
    }
    expect(losses[0]!.at(-1)!).toBeLessThan(0.9 * losses[0]![0]!);
    expect(largestDifference(losses[0]!, losses[1]!)).toBeLessThan(1e-4);
  });

  test('is saved, and loaded beside a base that is quantised alike and no other', async () => {
    const x = X();
    const model = await make();
    await quantizeModel(model, INT4);
    const side = await attach(model, config);
    stir(side.trainableVariables());
    const want = predict(model, x);
    const place = join(folder, label.replace(/\W+/g, '-'));
    await side.save(place);
    const other = await make();
    await expect(loadSideNetwork(other, place)).rejects.toThrow(/saved with other base weights/);
    await quantizeModel(other, INT4);
    const loaded = await loadSideNetwork(other, place);
    expect(predict(other, x)).toEqual(want);
    const count = tf.memory().numTensors;
    loaded.disable();
    const base = predict(other, x);
    loaded.enable();
    expect(predict(other, x)).toEqual(want);
    expect(largestDifference(base, want)).toBeGreaterThan(1e-3);
    // What predict gives.
    expect(tf.memory().numTensors).toBe(count + 2);
  });
});

test.each<[string, () => Promise<Model>, GraphSideConfig]>([
  ['a LayersModel', async () => normedLayers(), {...BLOCK, taps: ['block_1', 'block_2', 'block_3']}],
  ['a GraphModel', () => normedGraph().load(), {...BLOCK, taps: graphTaps('out')}],
])('%s: layer norms of a quantised base are trained in full precision', async (_label, make, config) => {
  const model = await make();
  const side = await attach(model, {...config, trainNorms: true});
  await quantizeModel(model, INT4);
  const codes = packedIn(model);
  const own = side.trainableVariables().slice(-6);
  const start = own.map((variable) => variable.dataSync().slice());
  const fit = 'modelSignature' in model ? fitGraph : fitLayers;
  const losses = await fit(model, X(8), Y(8));
  expect(losses.at(-1)!).toBeLessThan(0.9 * losses[0]!);
  // Those of the last block are behind the last tap, and trained as well.
  for (const [i, variable] of own.entries())
    expect(largestDifference(variable.dataSync(), start[i]!)).toBeGreaterThan(1e-3);
  expect(packedIn(model)).toBe(codes);
  const stock = await make();
  await quantizeModel(stock, INT4);
  side.remove();
  expect(largestDifference(predict(model, X()), predict(stock, X()))).toBeLessThan(1e-5);
});

test.each(['norm/out', 'out', 'MatMul'])(
  'GNP-IQ codes the base of a GraphModel anew while it is trained, tapped at %s',
  async (leaf) => {
    const builder = normedGraph();
    const [model, twin] = [await builder.load(), await builder.load()];
    const format = {type: 'int3', group: 4} as const;
    await quantizeModel(model, {format});
    const side = await attach(model, {...BLOCK, taps: graphTaps(leaf)});
    const events: number[] = [];
    const callbacks = await gnpIqCallback(model, {
      format,
      originals: tf.io.fromMemory(builder.artifacts()),
      codesFrom: 'base',
      seed: 1,
      onEvent: ({layers}) => events.push(layers.reduce((sum, {accepted}) => sum + accepted, 0)),
    });
    const training = trainer(model as GraphModel, {loss: 'meanSquaredError'});
    await training.fit({xs: X(8), ys: Y(8)}, {epochs: 5, verbose: 0, callbacks});
    expect(Math.max(...events)).toBeGreaterThan(0);
    // The network still stands in its place, and the codes are those of the model without it.
    const moved = predict(model, X());
    side.disable();
    const base = predict(model, X());
    expect(largestDifference(moved, base)).toBeGreaterThan(1e-4);
    await dequantizeModel(model);
    expect(largestDifference(predict(model, X()), base)).toBeLessThan(1e-5);
    side.enable();
    expect(largestDifference(predict(model, X()), moved)).toBeLessThan(1e-5);
    expect(largestDifference(predict(twin, X()), base)).toBeGreaterThan(1e-4);
  },
);

test('while its base is quantised, a network does not change, nor does the model go', async () => {
  const model = normedLayers();
  const side = await attach(model, {...BLOCK, taps: ['norm_1', 'norm_2', 'norm_3']});
  const running = quantizeModel(model, INT4);
  expect(() => side.disable()).toThrow(/is being quantised\. Wait/);
  expect(() => model.dispose()).toThrow(/is being quantised\. Wait/);
  await running;
  side.disable();
  // What fails leaves the network in its place.
  side.enable();
  stir(side.trainableVariables());
  const moved = predict(model, X());
  await expect(quantizeModel(model, {format: 'int5' as 'int4'})).rejects.toThrow(/int5/);
  expect(predict(model, X())).toEqual(moved);
  await expect(upgrade(model, {adapter: {type: 'lora'}})).rejects.toThrow(/has a side network/);
});

test('a model that was compiled and trained is trained again after its base was quantised and freed', async () => {
  const model = normedLayers();
  const [x, y] = [X(8), Y(8)];
  await fitLayers(model, x, y);
  const side = await attach(model, {...BLOCK, taps: ['norm_1', 'norm_2', 'norm_3']});
  await quantizeModel(model, INT4);
  await model.fit(x, y, {verbose: 0});
  side.remove();
  const {history} = await model.fit(x, y, {verbose: 0, epochs: 2});
  expect((history.loss as number[]).every(Number.isFinite)).toBe(true);
  await dequantizeModel(model);
  await model.fit(x, y, {verbose: 0});
});
