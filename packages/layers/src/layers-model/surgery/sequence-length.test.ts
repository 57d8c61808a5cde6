import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import {planUpgrade} from '../../core/lifecycle/plan.js';
import {type AdapterConfig, inspect, upgrade} from '../../graph.js';
import {copy, dense, expectUnchanged, fingerprint} from '../../testing/models.js';

const ADAPTER: AdapterConfig = {type: 'lime', experts: 2, over: {type: 'prompt', virtualTokens: 3}};

type Symbolic = tfl.SymbolicTensor;

const apply = (layer: tfl.layers.Layer, on: Symbolic | Symbolic[]) => layer.apply(on) as Symbolic;
const seeded = (seed: number) => tfl.initializers.randomNormal({stddev: 0.5, seed});
const embedding = (more: object = {}) =>
  tfl.layers.embedding({name: 'words', inputDim: 9, outputDim: 4, embeddingsInitializer: seeded(1), ...more});
const lstm = () =>
  tfl.layers.lstm({name: 'reader', units: 4, kernelInitializer: seeded(2), recurrentInitializer: seeded(3)});

/** A model of tokens whose embedding is followed by whatever. */
function modelOf(length: number | null, follow: (embedded: Symbolic) => Symbolic): tfl.LayersModel {
  const ids = tfl.input({shape: [length], dtype: 'int32', name: 'ids'});
  return tfl.model({name: 'text', inputs: ids, outputs: follow(apply(embedding(), ids))});
}

const ids = () =>
  tf.tensor2d(
    [
      [1, 2, 3, 4, 5],
      [6, 7, 8, 0, 0],
    ],
    [2, 5],
    'int32',
  );

beforeAll(async () => {
  await tf.setBackend('cpu');
});

test.each<[string, number | null, (embedded: Symbolic) => Symbolic]>([
  ['any length', null, (x) => apply(dense('out', 2, 4), apply(lstm(), x))],
  ['a fixed length that nothing needs', 5, (x) => apply(dense('out', 2, 4), apply(lstm(), x))],
  [
    'a fixed length that is averaged away, behind a Dense',
    5,
    (x) => apply(tfl.layers.globalAveragePooling1d({}), apply(dense('out', 2, 4), x)),
  ],
])('a prompt is taken, trained, saved and taken away again at %s', async (_what, length, follow) => {
  const model = modelOf(length, follow);
  const before = [...model.layers];
  const stock = (model.predict(ids()) as tf.Tensor).dataSync();
  const peft = await upgrade(model, {adapter: ADAPTER, targets: ['words'], seed: 1});
  expect(peft.report().sites[0]).toMatchObject({name: 'words', kind: 'embedding', status: 'adapted'});
  const start = (model.predict(ids()) as tf.Tensor).dataSync();
  expect(start).not.toEqual(stock);
  model.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
  const y = tf.tensor2d([
    [1, 0],
    [0, 1],
  ]);
  const {history} = await model.fit(ids(), y, {epochs: 10, verbose: 0});
  expect((history.loss as number[]).at(-1)).toBeLessThan((history.loss as number[])[0]!);
  const trained = (model.predict(ids()) as tf.Tensor).dataSync();
  expect((await copy(model)).predict(ids())).toEqual(expect.objectContaining({shape: [2, 2]}));
  expect(((await copy(model)).predict(ids()) as tf.Tensor).dataSync()).toEqual(trained);
  peft.disable();
  expect((model.predict(ids()) as tf.Tensor).dataSync()).toEqual(stock);
  peft.detach();
  expect(model.layers.every((layer, i) => layer === before[i])).toBe(true);
  expect((model.predict(ids()) as tf.Tensor).dataSync()).toEqual(stock);
});

const inner = () => {
  const x = tfl.input({shape: [5, 4]});
  return tfl.model({name: 'inner', inputs: x, outputs: apply(dense('deep', 2, 1), x)});
};

test.each<[string, (embedded: Symbolic, positions: Symbolic) => Symbolic, RegExp]>([
  [
    'a Dense over all tokens',
    (x) => apply(dense('out', 2, 4), apply(tfl.layers.flatten({name: 'flat'}), x)),
    /Layer 'words' cannot carry 3 virtual tokens.*fixed at layer 'out'/,
  ],
  [
    'a sum with positions',
    (x, positions) => apply(lstm(), apply(tfl.layers.add({name: 'sum'}), [x, positions])),
    /fixed at layer 'sum'/,
  ],
  [
    'a reshape',
    (x) => apply(tfl.layers.reshape({name: 'shaped', targetShape: [20]}), x),
    /fixed at layer 'shaped'/,
  ],
  [
    'the output of the model',
    (x) => apply(dense('each', 2, 4), x),
    /fixed at the output of model 'text'.*5,2/,
  ],
  [
    'the input of a model inside',
    (x) => apply(tfl.layers.globalAveragePooling1d({}), apply(inner(), x)),
    /fixed at the input of model 'inner'/,
  ],
])(
  'a prompt is refused where the length is fixed by %s, and the model left alone',
  async (what, follow, message) => {
    const input = tfl.input({shape: [5], dtype: 'int32', name: 'ids'});
    const positions = tfl.input({shape: [5, 4], name: 'positions'});
    const outputs = follow(apply(embedding(), input), positions);
    const inputs = what.includes('positions') ? [input, positions] : input;
    const model = tfl.model({name: 'text', inputs, outputs});
    const before = fingerprint(model);
    const refused = upgrade(model, {adapter: ADAPTER, targets: ['words']});
    await expect(refused).rejects.toThrow(UnsupportedSiteError);
    await expect(refused).rejects.toThrow(message);
    expectUnchanged(model, before);
    expect(() => inspect(model, {targets: ['words'], adapter: ADAPTER})).toThrow(message);
  },
);

test('a node of a graph has no place for a prompt', () => {
  const info = {
    name: 'words',
    layer: 'words',
    className: 'GatherV2',
    kind: 'lookup',
    shape: [9, 4] as [number, number],
  };
  const dims = {inputDim: 9, outputDim: 4, kind: 'lookup'} as const;
  const selected = {at: {path: 'words'}, info, dims, status: 'adapted', reason: ''};
  const plan = () => planUpgrade('node', () => [selected as never], {adapter: ADAPTER}, []);
  expect(plan).toThrow(UnsupportedSiteError);
  expect(plan).toThrow(/Node 'words' cannot carry 3 virtual tokens.*GraphModel/);
});

test('an Embedding inside TimeDistributed has no place for a prompt', async () => {
  const input = tfl.input({shape: [2, null], dtype: 'int32'});
  const each = tfl.layers.timeDistributed({name: 'each', layer: embedding()});
  const model = tfl.model({inputs: input, outputs: apply(each, input)});
  await expect(upgrade(model, {adapter: ADAPTER, targets: ['words']})).rejects.toThrow(
    /fixed at layer 'each': it wraps the layer/,
  );
});
