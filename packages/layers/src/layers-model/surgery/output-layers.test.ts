import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {inspect, upgrade} from '../../index.js';
import {dense, nested, reused, sequential, timeDistributed} from '../../testing/models.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const behind = (...layers: tfl.layers.Layer[]) =>
  tfl.sequential({layers: [dense('hidden', 4, 1, {inputShape: [3]}), dense('head', 2, 2), ...layers]});

test.each<[string, tfl.LayersModel, string[]]>([
  ['the last layer of a Sequential', sequential(), ['dense_100']],
  ['a layer behind nested models', nested(), ['head']],
  ['a layer behind one that is used again', reused(), ['head']],
  ['a layer behind recurrent ones', timeDistributed(), ['head']],
  [
    'a layer before what has no weights',
    behind(tfl.layers.softmax(), tfl.layers.reshape({targetShape: [1, 2]})),
    ['head'],
  ],
  ['none before a layer with weights', behind(tfl.layers.batchNormalization()), []],
  [
    'a layer inside of a nested model that comes last',
    tfl.sequential({
      layers: [
        dense('hidden', 4, 1, {inputShape: [3]}),
        tfl.sequential({layers: [dense('inner', 2, 2, {inputShape: [4]})], name: 'last'}),
      ],
    }),
    ['last/inner'],
  ],
  [
    'a wrapped layer',
    tfl.sequential({
      layers: [tfl.layers.timeDistributed({layer: dense('step', 2, 1), inputShape: [3, 4], name: 'each'})],
    }),
    ['each/step'],
  ],
])('the report says that a preset adapts an output: %s', (_, model, outputs) => {
  for (const targets of ['all-dense', 'all-projections'] as const) {
    expect(inspect(model, {targets}).adaptedOutputs).toEqual(outputs);
  }
});

test('it says so in words, of the upgrade too and of a second one, but not of an output that is named', async () => {
  const model = sequential();
  const warning =
    /\nWarning: 'dense_100' gives an output of the model .*list the other layers in targets.*alsoTrain/;
  expect(String(inspect(model))).toMatch(warning);
  const adapter = {type: 'lora', rank: 1} as const;
  const peft = await upgrade(model, {adapter});
  expect(String(peft.report())).toMatch(warning);
  await upgrade(model, {adapter, name: 'second'});
  expect(String(peft.report())).toMatch(warning);
  await upgrade(model, {adapter, name: 'named', targets: ['dense_100']});
  expect(peft.report().adaptedOutputs).toEqual([]);
  expect(String(peft.report())).not.toContain('Warning');
});

test('several outputs are all named', () => {
  const x = tfl.input({shape: [3]});
  const y = dense('hidden', 4, 1).apply(x);
  const outputs = ['left', 'right'].map((name, i) => dense(name, 2, i + 2).apply(y) as tfl.SymbolicTensor);
  const report = inspect(tfl.model({inputs: x, outputs}));
  expect(report.adaptedOutputs).toEqual(['left', 'right']);
  expect(String(report)).toMatch(/Warning: 'left', 'right' give outputs of the model/);
});
