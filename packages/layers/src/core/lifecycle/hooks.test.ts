import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {type Peft, upgrade} from '../../index.js';
import {compile, dense, inputsOf, predict, sequential, timeDistributed, train} from '../../testing/models.js';

/**
 * What users hang on layers stays there through an upgrade, and begins or ends with it
 * where it came or went meanwhile.
 */
const LORA = {type: 'lora', rank: 2} as const;
const BY_TASK = {type: 'molora', experts: 2, rank: 1, router: {type: 'task'}} as const;

beforeAll(() => tf.setBackend('cpu'));

type Stage = [string, (model: tfl.LayersModel, at: {peft?: Peft}) => unknown];

const STAGES: Stage[] = [
  ['before', () => {}],
  [
    'upgraded',
    async (model, at) => {
      at.peft = await upgrade(model, {adapter: LORA, name: 'a'});
    },
  ],
  [
    'upgraded again',
    (model) => upgrade(model, {adapter: LORA, name: 'b', targets: ['dense_10', 'dense_100']}),
  ],
  ['with another adapter', (_, {peft}) => peft!.enable('a')],
  ['disabled', (_, {peft}) => peft!.disable()],
  ['enabled', (_, {peft}) => peft!.enable('b')],
  ['with one removed', (_, {peft}) => peft!.remove('a')],
  ['detached', (_, {peft}) => peft!.detach()],
];

test.each(STAGES.map(([name], i) => [name, i] as const))(
  'a call hook that was set on a layer %s is called once a call from then on',
  async (_, when) => {
    const model = sequential();
    const originals = new Map(model.layers.map((layer) => [layer.name, layer]));
    const at: {peft?: Peft} = {};
    const calls: string[] = [];
    for (const [i, [, go]] of STAGES.entries()) {
      await go(model, at);
      if (i === when) {
        for (const {name} of model.layers)
          model.getLayer(name).setCallHook((x) => calls.push(`${name} ${[x].flat()[0]!.shape}`));
      }
      calls.length = 0;
      await predict(model);
      expect(calls).toEqual(i < when ? [] : ['dense_1 5,4', 'dense_10 5,6', 'dense_100 5,5']);
    }
    for (const layer of originals.values()) layer.clearCallHook();
    calls.length = 0;
    await predict(model);
    expect(calls).toEqual([]);
  },
);

test('a hook of the layer object that was replaced is called, and can be taken away there or here', async () => {
  const model = sequential();
  const original = model.getLayer('dense_1');
  await upgrade(model, {adapter: LORA});
  let calls = 0;
  original.setCallHook(() => calls++);
  await predict(model);
  expect(calls).toBe(1);
  model.getLayer('dense_1').clearCallHook();
  await predict(model);
  expect(calls).toBe(1);
});

test('hooks are called inside TimeDistributed too', async () => {
  const model = timeDistributed();
  let calls = 0;
  (model.getLayer('each') as unknown as {layer: tfl.layers.Layer}).layer.setCallHook(() => calls++);
  await predict(model);
  const stock = calls;
  const peft = await upgrade(model, {adapter: LORA});
  await predict(model);
  expect(calls).toBe(2 * stock);
  peft.detach();
  await predict(model);
  expect(calls).toBe(3 * stock);
});

describe('contextFrom', () => {
  const tasks = (n: number) => ({task: tf.zeros([n])});

  test.each(['dense_1', 'dense_10'])(
    'at %s goes on when that layer becomes a site, and when it is one no longer',
    async (path) => {
      const model = sequential();
      let [calls, hooks] = [0, 0];
      model.getLayer(path).setCallHook(() => hooks++);
      const peft = await upgrade(model, {adapter: BY_TASK, name: 'a', targets: ['dense_100']});
      const first = tf.memory().numTensors;
      peft.contextFrom(path, ([x]) => {
        calls++;
        return tasks(x!.shape[0]!);
      });
      const count = async () => {
        await predict(model);
        return [calls, hooks];
      };
      expect(await count()).toEqual([1, 1]);
      await upgrade(model, {adapter: BY_TASK, name: 'b', targets: ['dense_10', 'dense_100']});
      expect(await count()).toEqual([2, 2]);
      peft.enable('a');
      expect(await count()).toEqual([3, 3]);
      peft.remove('b');
      expect(await count()).toEqual([4, 4]);
      peft.contextFrom(path, ([x]) => tasks(x!.shape[0]!));
      expect(await count()).toEqual([4, 5]);
      peft.setContext(null);
      expect(tf.memory().numTensors).toBe(first);
      peft.detach();
      expect(await count()).toEqual([4, 6]);
      expect(Object.hasOwn(model.getLayer(path), 'call')).toBe(false);
    },
  );

  test('runs at layers whose class never calls a hook', async () => {
    const x = tfl.input({shape: [4, 2]});
    const steps = tfl.layers.conv1d({name: 'conv', filters: 2, kernelSize: 1}).apply(x) as tfl.SymbolicTensor;
    const last = tfl.layers
      .lstm({name: 'lstm', units: 3, recurrentInitializer: 'zeros'})
      .apply(steps) as tfl.SymbolicTensor;
    const norm = tfl.layers.batchNormalization({name: 'norm'}).apply(last) as tfl.SymbolicTensor;
    const layered = tfl.layers.layerNormalization({name: 'layer_norm'}).apply(norm) as tfl.SymbolicTensor;
    const model = tfl.model({inputs: x, outputs: dense('head', 2, 1).apply(layered) as tfl.SymbolicTensor});
    const peft = await upgrade(model, {adapter: BY_TASK, targets: ['head']});
    for (const path of ['conv', 'lstm', 'norm', 'layer_norm']) {
      let calls = 0;
      peft.setContext(null);
      peft.contextFrom(path, ([input]) => {
        calls++;
        return tasks(input!.shape[0]!);
      });
      model.predict(tf.ones([3, 4, 2]));
      expect([path, calls]).toEqual([path, 1]);
    }
    peft.detach();
    for (const layer of model.layers) expect(Object.hasOwn(layer, 'call')).toBe(false);
  });
});

test('losses that a user adds to a layer count, wherever they were added', async () => {
  const model = sequential();
  const original = model.getLayer('dense_1');
  const loss = async () => {
    model.compile({optimizer: tf.train.sgd(0), loss: 'meanSquaredError'});
    const y = tf.zeros([5, 3]);
    return (await model.fit(inputsOf(model)[0]!, y, {verbose: 0})).history.loss![0] as number;
  };
  const add = (layer: tfl.layers.Layer, value: number) => layer.addLoss((() => tf.scalar(value)) as never);
  const start = await loss();
  add(original, 1);
  const peft = await upgrade(model, {adapter: LORA, seed: 1});
  expect(await loss()).toBeCloseTo(start + 1, 5);
  add(original, 2);
  add(model.getLayer('dense_1'), 4);
  expect(await loss()).toBeCloseTo(start + 7, 5);
  peft.detach();
  expect(await loss()).toBeCloseTo(start + 7, 5);
});

test('the layer object that was replaced has the weights that it had', async () => {
  const model = sequential();
  const original = model.getLayer('dense_1');
  const kept = original.getWeights();
  const peft = await upgrade(model, {adapter: LORA, seed: 1});
  compile(model);
  original.trainable = true;
  await train(model);
  expect(original.getWeights().map((weight) => weight.dataSync())).toEqual(
    kept.map((weight) => weight.dataSync()),
  );
  original.setWeights(kept.map((weight) => tf.mul(weight, 2)));
  peft.disable();
  const doubled = await predict(model);
  peft.detach();
  expect(await predict(model)).toEqual(doubled);
});
