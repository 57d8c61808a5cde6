import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import type {Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import {ConfigError, WeightMismatchError} from '@tfjs-peft/kernels';
import type {Weight} from '@tfjs-peft/routers';
import {type AdapterConfig, defineAdapter, loadPeft, PeftDense, upgrade} from '../../index.js';
import {largestShapes, takeShared} from './shared-weights.js';

const SEED = {type: 'heUniform', seed: 3} as const;

/** Adds a shared random row to the output, times a trained number for each of its columns. */
defineAdapter({
  type: 'Test_Shared',
  create: () => {
    let [row, scale]: Weight[] = [];
    return {
      type: 'Test_Shared',
      build: ({outputDim}, add) => {
        row = add('row', [1, outputDim], SEED, 'shared');
        scale = add('scale', [outputDim], {type: 'constant', value: 1});
      },
      parts: () => ({offset: tf.mul(tf.reshape(row!.read(), [-1]), scale!.read()) as Tensor1D}),
      getConfig: () => ({type: 'Test_Shared'}) as unknown as AdapterConfig,
    };
  },
});
const adapter = {type: 'Test_Shared'} as unknown as AdapterConfig;

const dense = (units: number, more: object = {}) =>
  tf.layers.dense({
    units,
    name: `to_${units}`,
    kernelInitializer: tf.initializers.randomNormal({seed: units}),
    ...more,
  });
/** Outputs of 3, 5 and 4 columns: neither the first nor the last is the largest. */
const narrow = () => tf.sequential({layers: [dense(3, {inputShape: [2]}), dense(5), dense(4)]});

const x = () => tf.tensor2d([[1, -1]]);
const outputs = (model: tf.LayersModel) => (model.predict(x()) as tf.Tensor).arraySync();
const partOf = (layer: unknown) => (layer as PeftDense).site.sharedOf('default').get('row')!;

beforeAll(() => tf.setBackend('cpu'));

test('all sites have the leading part of one weight, as large as the largest needs, the same in every process', async () => {
  const model = narrow();
  const trained = {targets: [/to_/], adapter};
  await upgrade(model, trained);
  const parts = model.layers.map(partOf);
  expect(parts.map(({shape, whole}) => [shape, whole])).toEqual([
    [
      [1, 3],
      [1, 5],
    ],
    [
      [1, 5],
      [1, 5],
    ],
    [
      [1, 4],
      [1, 5],
    ],
  ]);
  const whole = parts[1]!.read().dataSync();
  for (const part of parts) expect(part.read().dataSync()).toEqual(whole.slice(0, part.shape[1]));
  // He's bound, and the generator's own numbers: what a file relies on.
  expect(Math.max(...whole.map(Math.abs))).toBeLessThan(Math.sqrt(6));
  expect([...whole].map((value) => value.toFixed(6))).toEqual([
    '0.313780',
    '1.716090',
    '-1.356923',
    '0.053707',
    '0.558012',
  ]);
  expect(model.weights.some(({originalName}) => /row/.test(originalName))).toBe(false);
});

test('sites of one shape have one tensor, which goes with the last of them', async () => {
  const before = tf.memory().numTensors;
  const model = tf.sequential({
    layers: [dense(4, {inputShape: [4], name: 'a'}), dense(4, {name: 'b'}), dense(4, {name: 'c'})],
  });
  const base = tf.memory().numTensors;
  const peft = await upgrade(model, {targets: ['a', 'b', 'c'], adapter});
  const tensors = model.layers.map((layer) => partOf(layer).read());
  expect(new Set(tensors).size).toBe(1);
  expect(tf.memory().numTensors).toBe(base + 3 + 1);
  peft.remove('default');
  expect(tensors[0]!.isDisposed).toBe(true);
  expect(tf.memory().numTensors).toBe(base);
  peft.detach();
  model.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

async function saved(change: (model: tf.Sequential) => void = () => {}) {
  const model = narrow();
  const peft = await upgrade(model, {targets: [/to_/], adapter});
  change(model);
  let artifacts!: tf.io.ModelArtifacts;
  await peft.save({
    save: async (given) => {
      artifacts = given;
      return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
    },
  });
  return {model, artifacts};
}

const changed = (artifacts: tf.io.ModelArtifacts, change: object) => ({
  load: async () => ({...artifacts, modelTopology: {...artifacts.modelTopology, ...change}}),
});

test('a file says how large they were, though the largest site has gone since', async () => {
  const {model, artifacts} = await saved((given) => {
    given.pop();
    given.pop();
  });
  expect((artifacts.modelTopology as {shared: unknown}).shared).toEqual([{name: 'row', shape: [1, 5]}]);
  expect(artifacts.weightSpecs!.map(({name}) => name)).toEqual(['to_3.scale']);
  const fresh = tf.sequential({layers: [dense(3, {inputShape: [2]})]});
  await loadPeft(fresh, changed(artifacts, {}));
  expect(outputs(fresh)).toEqual((model.layers[0]!.apply(x()) as tf.Tensor).arraySync());
  expect(partOf(fresh.layers[0]).whole).toEqual([1, 5]);
});

test.each<[object, RegExp]>([
  [{shared: undefined}, /shape of the shared weight 'row' is missing/],
  [{shared: [{name: 'row', shape: [1, 4]}]}, /'row' is \[1,4\] in the file, but must hold \[1,5\]/],
  [
    {
      shared: [
        {name: 'row', shape: [1, 5]},
        {name: 'other', shape: [2]},
      ],
    },
    /no shared weight 'other'/,
  ],
])('a file with %j is refused', async (change, message) => {
  const {artifacts} = await saved();
  const fresh = narrow();
  await expect(loadPeft(fresh, changed(artifacts, change))).rejects.toThrow(WeightMismatchError);
  await expect(loadPeft(fresh, changed(artifacts, change))).rejects.toThrow(message);
});

test('a file whose shapes are none, or too large, is refused', async () => {
  const {artifacts} = await saved();
  for (const [shared, message] of [
    [[{name: 'row', shape: ['x']}], /shared must be a list of names and shapes/],
    [[{name: 'row', shape: [2 ** 20, 2 ** 20]}], /at most \d+ values/],
  ] as const) {
    await expect(loadPeft(narrow(), changed(artifacts, {shared}))).rejects.toThrow(ConfigError);
    await expect(loadPeft(narrow(), changed(artifacts, {shared}))).rejects.toThrow(message);
  }
});

test('a model that was saved whole has its layers’ parts again', async () => {
  const {model} = await saved();
  let whole!: tf.io.ModelArtifacts;
  await model.save(
    tf.io.withSaveHandler(async (given) => {
      whole = given;
      return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
    }),
  );
  const copy = await tf.loadLayersModel(tf.io.fromMemory(whole));
  expect(outputs(copy)).toEqual(outputs(model));
  expect(copy.layers.map((layer) => partOf(layer).whole)).toEqual(Array(3).fill([1, 5]));
});

test('a shared weight has a seed of its own', () => {
  for (const init of [{type: 'zeros'}, {type: 'heUniform'}] as const) {
    expect(() => takeShared('w', [2, 2], init)).toThrow(ConfigError);
    expect(() => takeShared('w', [2, 2], init)).toThrow(/'w' is shared, but its init is .*heUniform/);
  }
  const layer = new PeftDense({units: 3});
  layer.addAdapter('default', adapter);
  layer.build([null, 2]);
  expect((partOf(layer).read() as Tensor2D).shape).toEqual([1, 3]);
  layer.removeAdapter('default');
});

test('the largest shape holds all, axis by axis', () => {
  const asked = [
    {name: 'a', shape: [2, 7]},
    {name: 'b', shape: [1]},
    {name: 'a', shape: [5, 3]},
  ];
  expect(largestShapes(asked)).toEqual([
    {name: 'a', shape: [5, 7]},
    {name: 'b', shape: [1]},
  ]);
});
