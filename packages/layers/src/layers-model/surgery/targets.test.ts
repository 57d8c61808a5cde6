import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {inspect, type SiteInfo, type Targets, upgrade} from '../../index.js';
import {dense, MODELS, nested, sequential, timeDistributed} from '../../testing/models.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const adapted = (model: tfl.LayersModel, targets?: Targets) =>
  inspect(model, targets === undefined ? {} : {targets})
    .sites.filter(({status}) => status === 'adapted')
    .map(({name}) => name);

test.each<[string, keyof typeof MODELS, Targets | undefined, string[]]>([
  [
    'everything by default',
    'nested',
    undefined,
    ['inner/wide', 'inner/deep/dense_1', 'inner/deep/dense_2', 'head'],
  ],
  ['a name, not names that contain it', 'sequential', ['dense_1'], ['dense_1']],
  ['a name in a nested model', 'nested', ['dense_2'], ['inner/deep/dense_2']],
  ['a path', 'nested', ['inner/deep/dense_1'], ['inner/deep/dense_1']],
  ['a whole nested model', 'nested', ['deep'], ['inner/deep/dense_1', 'inner/deep/dense_2']],
  [
    'a whole nested model by its path',
    'nested',
    ['inner/deep', 'head'],
    ['inner/deep/dense_1', 'inner/deep/dense_2', 'head'],
  ],
  ['a pattern', 'sequential', [/_10+$/], ['dense_10', 'dense_100']],
  [
    'an anchored pattern on the layer itself',
    'nested',
    [/^dense/],
    ['inner/deep/dense_1', 'inner/deep/dense_2'],
  ],
  ['a pattern that remembers its position', 'sequential', [/dense/g], ['dense_1', 'dense_10', 'dense_100']],
  ['a wrapped layer by its name', 'timeDistributed', ['step'], ['each/step']],
  ['a wrapped layer by its wrapper', 'timeDistributed', ['each'], ['each/step']],
  ['a shared layer, once', 'shared', 'all-dense', ['tower', 'head']],
  ['a predicate', 'nested', ({shape}) => shape?.[1] === 6, ['inner/wide']],
])('targets take in %s', (_what, model, targets, names) => {
  expect(adapted(MODELS[model]!(), targets)).toEqual(names);
});

test('a predicate sees every layer with weights', () => {
  const seen: SiteInfo[] = [];
  inspect(timeDistributed(), {targets: (site) => seen.push(site) > 0});
  const stock = {className: 'Dense', kind: 'dense', dtype: 'float32'};
  const sized = (shape: number[], parameters: number) => ({shape, weightShape: shape, parameters});
  const direction = {...stock, className: 'LSTM', kind: 'lstm', ...sized([4, 8], 56)};
  expect(seen).toEqual([
    {name: 'tokens', layer: 'tokens', ...stock, ...sized([4, 5], 25)},
    {name: 'each/step', layer: 'step', ...stock, ...sized([5, 4], 24)},
    {name: 'rnn/forward_lstm', layer: 'forward_lstm', ...direction},
    {name: 'rnn/backward_lstm', layer: 'backward_lstm', ...direction},
    {name: 'head', layer: 'head', ...stock, ...sized([4, 3], 15)},
  ]);
});

test('layers whose paths spell the same stay apart', async () => {
  const inner = tfl.sequential({name: 'a', layers: [dense('b', 3, 1, {inputShape: [3]})]});
  const model = tfl.sequential({name: 'm', layers: [dense('a/b', 3, 2, {inputShape: [3]}), inner]});
  expect(adapted(model)).toEqual(['a/b', 'a/b~2']);
  const peft = await upgrade(model, {adapter: {type: 'lora', rank: 1}});
  expect(peft.trainableVariables()).toHaveLength(4);
});

test('hostile names are names like any other', async () => {
  const names = ['constructor', 'a.b', 'a.b.lora_A', 'toString', 'x/y', '0'];
  const model = tfl.sequential({
    layers: names.map((name, i) => dense(name, 3, i, {inputShape: [3]})),
  });
  expect(adapted(model)).toEqual(names);
  expect(adapted(model, ['constructor'])).toEqual(['constructor']);
});

test('overrides change the sites that they match, the later ones last', async () => {
  const model = sequential();
  const peft = await upgrade(model, {
    adapter: {type: 'lora', rank: 2, alpha: 4},
    overrides: [
      {targets: [/0$/], adapter: {rank: 1}},
      {targets: ['dense_100'], adapter: {type: 'ia3'}},
    ],
  });
  const shapes = peft.trainableVariables().map(({shape}) => shape);
  expect(shapes).toEqual([[4, 2], [2, 6], [6, 1], [1, 5], [3]]);
  expect(peft.report().trainable).toBe(20 + 11 + 3);
});

test('the same seed gives the same adapter, and each site values of its own', async () => {
  const values = async (seed?: number) => {
    const model = nested();
    const peft = await upgrade(model, {
      adapter: {type: 'lora', rank: 1},
      ...(seed === undefined ? {} : {seed}),
    });
    return peft.trainableVariables().map((variable) => [...variable.dataSync()]);
  };
  const [first, second, third] = [await values(1), await values(1), await values(2)];
  expect(second).toEqual(first);
  expect(third).not.toEqual(first);
  expect(await values()).not.toEqual(await values());
  const model = tfl.sequential({layers: [dense('a', 4, 1, {inputShape: [4]}), dense('b', 4, 1)]});
  const peft = await upgrade(model, {adapter: {type: 'lora', rank: 1}, seed: 1});
  const [a, , b] = peft.trainableVariables();
  expect([...a!.dataSync()]).not.toEqual([...b!.dataSync()]);
});
