import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/cpu';
import {normalizeArtifacts, UnsupportedModelError} from '../../repair.js';

beforeAll(() => tf.setBackend('cpu'));

/** A tensor as Keras 3 writes it. */
const kt = (layer: string, node = 0, tensor = 0) => ({
  class_name: '__keras_tensor__',
  config: {shape: [null, 3], dtype: 'float32', keras_history: [layer, node, tensor]},
});

const call = (args: unknown[], kwargs: object = {}) => ({args, kwargs});

const layer = (class_name: string, name: string, config: object, ...inbound_nodes: object[]) => ({
  class_name,
  name,
  config: {name, trainable: true, ...config},
  inbound_nodes,
});

const input = (name: string, shape: number[] = [3]) =>
  layer('InputLayer', name, {batch_shape: [null, ...shape], dtype: 'float32'});

function functional(layers: object[], inputs: unknown, outputs: unknown): tf.io.ModelArtifacts {
  const config = {name: 'model', trainable: true, layers, input_layers: inputs, output_layers: outputs};
  return {
    format: 'layers-model',
    generatedBy: 'keras v3.15.1',
    modelTopology: {keras_version: '3.15.1', model_config: {class_name: 'Functional', config}},
  };
}

const load = (artifacts: tf.io.ModelArtifacts) => tf.loadLayersModel(normalizeArtifacts(artifacts));

test('ops between tensors are layers, outputs may be a dictionary, and calls are counted as tfjs does', async () => {
  const inner = {
    ...layer('Functional', 'inner', {}, call([kt('x')]), call([kt('inner')])),
    config: {
      name: 'inner',
      layers: [input('z'), layer('Activation', 'double', {activation: 'relu'}, call([kt('z')]))],
      input_layers: ['z', 0, 0],
      output_layers: ['double', 0, 0],
    },
  };
  const model = await load(
    functional(
      [
        input('x'),
        inner,
        layer('Add', 'plus', {}, call([kt('x'), kt('inner', 1)])),
        layer('Tanh', 'squash', {}, call([kt('plus')])),
        layer('Concatenate', 'both', {}, call([[kt('plus'), kt('x')]], {axis: 1})),
      ],
      [['x', 0, 0]],
      {sum: ['plus', 0, 0], squashed: ['squash', 0, 0], both: ['both', 0, 0]},
    ),
  );
  const [sum, squashed, both] = model.predict(tf.tensor2d([[1, -2, 3]])) as [tf.Tensor, tf.Tensor, tf.Tensor];
  expect(Array.from(both.dataSync())).toEqual([2, -2, 6, 1, -2, 3]);
  expect(Array.from(sum.dataSync())).toEqual([2, -2, 6]);
  expect(squashed.dataSync()[1]).toBeCloseTo(Math.tanh(-2), 5);
});

describe('is refused by name', () => {
  const embedding = (mask_zero: boolean) =>
    layer('Embedding', 'words', {input_dim: 5, output_dim: 3, mask_zero}, call([kt('x')]));
  const masked = (mask_zero: boolean) => [
    input('x', [4]),
    embedding(mask_zero),
    layer('NotEqual', 'not_equal', {}, call([kt('x'), 0])),
    layer('LSTM', 'lstm', {units: 2}, call([kt('words')], {mask: kt('not_equal')})),
  ];

  test('a mask that tfjs would not make', async () => {
    await expect(load(functional(masked(true), ['x', 0, 0], ['lstm', 0, 0]))).resolves.toBeDefined();
    const refused = load(functional(masked(false), ['x', 0, 0], ['lstm', 0, 0]));
    await expect(refused).rejects.toThrow(UnsupportedModelError);
    await expect(refused).rejects.toThrow(/'lstm' \(LSTM\) takes a mask of 'x'/);
  });

  test.each([
    [
      'an op with a constant',
      layer('Multiply', 'twice', {}, call([kt('x'), 2])),
      /'twice' applies the op Multiply to a constant/,
    ],
    [
      'an op that is used as data',
      layer('NotEqual', 'differs', {}, call([kt('x'), 0])),
      /'differs' \(NotEqual\)/,
    ],
    [
      'attention',
      layer('MultiHeadAttention', 'mha', {}, call([kt('x'), kt('x')])),
      /'mha' \(MultiHeadAttention\).*tfjs_graph_model/,
    ],
    [
      'a state from outside',
      layer('LSTM', 'rnn', {units: 3}, call([kt('x')], {initial_state: [kt('x'), kt('x')]})),
      /'rnn' \(LSTM\).*initial_state/,
    ],
    [
      'a call in training mode',
      layer('Dropout', 'drop', {rate: 0.5}, call([kt('x')], {training: true})),
      /'drop' \(Dropout\).*training/,
    ],
    ...['constructor', 'toString', '__proto__'].map((name): [string, ReturnType<typeof layer>, RegExp] => [
      `a class of a name that every object has, ${name}`,
      layer(name, 'odd', {}, call([kt('x')])),
      new RegExp(`Layer 'odd' is a ${name}, which tfjs-layers does not have`),
    ]),
  ])('%s', async (_, odd, message) => {
    const refused = load(functional([input('x'), odd], ['x', 0, 0], [odd.name, 0, 0]));
    await expect(refused).rejects.toThrow(UnsupportedModelError);
    await expect(refused).rejects.toThrow(message);
  });
});
