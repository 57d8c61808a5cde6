import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/cpu';
import {ConfigError, WeightMismatchError} from '@tfjs-peft/kernels';
import {upgrade} from '../../index.js';
import {normalizeArtifacts, type Repair, UnsupportedModelError} from '../../repair.js';
import {sequentialArtifacts} from '../testing/artifacts.js';

beforeAll(() => tf.setBackend('cpu'));

beforeEach(() => tf.engine().startScope());
afterEach(() => {
  tf.engine().endScope();
  tf.disposeVariables();
});

const range = (...shape: number[]) => {
  const values = Array.from({length: tf.util.sizeFromShape(shape)}, (_, i) => Math.sin(i + 1));
  return {shape, values};
};

const dense = (units: number, inputs: number, config: object = {}) => ({
  class_name: 'Dense',
  config: {units, activation: 'linear', use_bias: true, ...config},
  weights: {kernel: range(inputs, units), bias: range(units)},
});

/** Loads through the handler and says what was repaired; what was given must not change. */
async function load(
  artifacts: tf.io.ModelArtifacts,
): Promise<{model: tf.LayersModel; repairs: readonly Repair[]}> {
  const before = JSON.stringify([artifacts.modelTopology, artifacts.weightSpecs]);
  const handler = normalizeArtifacts(artifacts);
  const model = await tf.loadLayersModel(handler);
  expect(JSON.stringify([artifacts.modelTopology, artifacts.weightSpecs])).toBe(before);
  return {model, repairs: handler.repairs};
}

const values = (tensor: tf.Tensor | tf.Tensor[]) => Array.from((tensor as tf.Tensor).dataSync());

describe('a layer that tfjs lacks is refused by name, with the way out', () => {
  test.each([
    ['MultiHeadAttention', /MultiHeadAttention.*tfjs_graph_model.*registerClass/],
    ['EinsumDense', /EinsumDense.*tfjs_graph_model/],
    ['Attention', /Attention.*tfjs_graph_model/],
    ['UnitNormalization', /UnitNormalization.*tfjs_graph_model/],
    ['SeparableConv1D', /SeparableConv1D.*Replace it with a Conv1D/],
    ['TFOpLambda', /TFOpLambda.*replace it with a layer/],
    ['Lambda', /Lambda.*Python code/],
    ['mine>Special', /a Special, which tfjs-layers does not have/],
  ])('%s', async (class_name, message) => {
    const refused = load(sequentialArtifacts([4], [dense(4, 4), {class_name, config: {name: 'odd_one'}}]));
    await expect(refused).rejects.toThrow(UnsupportedModelError);
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toThrow(/'odd_one'/);
  });

  test.each([
    ['an unknown activation', dense(4, 4, {activation: 'hard_swish'}), /activation 'hard_swish'/],
    [
      'a function as activation',
      dense(4, 4, {activation: {class_name: 'function', config: 'mine'}}),
      /'mine'/,
    ],
    ['what tfjs ignores', {class_name: 'ReLU', config: {negative_slope: 0.1}}, /negative_slope 0.1/],
    [
      'a quantised policy',
      dense(4, 4, {dtype: {class_name: 'QuantizedDTypePolicy', config: {name: 'int8_from_float32'}}}),
      /int8/,
    ],
    [
      'a GRU with dropout in its cell',
      {class_name: 'GRU', config: {units: 2, reset_after: true, dropout: 0.1}},
      /Dropout layer/,
    ],
    [
      'a wrapped causal convolution',
      {
        class_name: 'TimeDistributed',
        config: {
          layer: {
            class_name: 'Conv1D',
            config: {name: 'inner', filters: 2, kernel_size: [2], padding: 'causal'},
          },
        },
      },
      /wraps the causal Conv1D 'inner'/,
    ],
    [
      'unlike layers in a Bidirectional',
      {
        class_name: 'Bidirectional',
        config: {
          layer: {class_name: 'LSTM', config: {name: 'there', units: 2}},
          backward_layer: {class_name: 'LSTM', config: {name: 'back', units: 3}},
        },
      },
      /backward layer with other settings/,
    ],
  ])('%s', async (_, layer, message) => {
    const refused = load(sequentialArtifacts([4], [layer]));
    await expect(refused).rejects.toThrow(UnsupportedModelError);
    await expect(refused).rejects.toThrow(message);
  });
});

test("Keras 3's hard_sigmoid is refused, that of Keras 2 is tfjs's", async () => {
  const artifacts = sequentialArtifacts([4], [dense(4, 4, {activation: 'hard_sigmoid'})]);
  await expect(load(artifacts)).resolves.toBeDefined();
  (artifacts.modelTopology as {keras_version: string}).keras_version = '3.15.1';
  await expect(load(artifacts)).rejects.toThrow(
    /'dense_0' \(Dense\) has the activation 'hard_sigmoid' of Keras 3/,
  );
});

test('silu, a class name with a package, and a dtype policy', async () => {
  const policy = {class_name: 'DTypePolicy', config: {name: 'mixed_float16'}};
  const {model, repairs} = await load(
    sequentialArtifacts(
      [3],
      [{...dense(2, 3, {activation: 'silu', dtype: policy}), class_name: 'mine>Dense'}],
    ),
  );
  const x = tf.tensor2d([[1, -2, 3]]);
  const z = x.matMul(tf.tensor(range(3, 2).values, [3, 2])).add(range(2).values);
  values(z.mul(z.sigmoid())).forEach((value, i) => {
    expect(values(model.predict(x))[i]).toBeCloseTo(value, 5);
  });
  expect(repairs.map(({rule}) => rule)).toEqual(['class-name', 'dtype', 'activation']);
});

test('L1 and L2 give the penalty of L1L2; another regularizer goes, and is reported', async () => {
  const layer = (class_name: string, config: object) =>
    dense(2, 2, {kernel_regularizer: {class_name, config}});
  const {model, repairs} = await load(
    sequentialArtifacts(
      [2],
      [layer('L2', {l2: 0.5}), layer('L1', {l1: 0.25}), layer('OrthogonalRegularizer', {factor: 0.1})],
    ),
  );
  const kernel = tf.tensor(range(2, 2).values);
  const penalty = 0.5 * values(kernel.square().sum())[0]! + 0.25 * values(kernel.abs().sum())[0]!;
  const losses = model.layers.flatMap((layer) => layer.calculateLosses()).map((loss) => values(loss)[0]!);
  expect(losses.reduce((sum, loss) => sum + loss, 0)).toBeCloseTo(penalty, 5);
  expect(repairs.filter(({rule}) => rule === 'regularizer').map(({what}) => what)).toEqual([
    expect.stringContaining('L2 becomes L1L2'),
    expect.stringContaining('L1 becomes L1L2'),
    expect.stringContaining('OrthogonalRegularizer, which tfjs lacks'),
  ]);
});

test('ZeroPadding1D and Cropping1D compute, upgrade, save and load', async () => {
  const {model} = await load(
    sequentialArtifacts(
      [3, 2],
      [
        {class_name: 'ZeroPadding1D', config: {padding: [2, 1]}},
        {class_name: 'Cropping1D', config: {cropping: [1, 0]}},
        dense(2, 2),
      ],
    ),
  );
  const x = tf.tensor3d([1, 2, 3, 4, 5, 6], [1, 3, 2]);
  const [padding, cropping] = model.layers as [tf.layers.Layer, tf.layers.Layer];
  expect(values(padding.apply(x) as tf.Tensor)).toEqual([0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0]);
  expect(values(cropping.apply(padding.apply(x)) as tf.Tensor)).toEqual([0, 0, 1, 2, 3, 4, 5, 6, 0, 0]);
  expect(model.outputShape).toEqual([null, 5, 2]);
  const before = values(model.predict(x));
  let saved: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      saved = artifacts;
      return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
    }),
  );
  expect(values((await tf.loadLayersModel(tf.io.fromMemory(saved!))).predict(x))).toEqual(before);
  // Its own files are read as they are.
  const again = await load(saved!);
  expect(again.repairs).toEqual([]);
  expect(values(again.model.predict(x))).toEqual(before);
  await upgrade(model, {adapter: {type: 'lora', rank: 1}});
  values(model.predict(x)).forEach((value, i) => {
    expect(value).toBeCloseTo(before[i]!, 5);
  });
});

describe('a GRU with reset_after', () => {
  const gru = (config: object = {}) => ({
    class_name: 'GRU',
    config: {
      units: 3,
      reset_after: true,
      activation: 'tanh',
      recurrent_activation: 'sigmoid',
      return_sequences: true,
      ...config,
    },
    weights: {
      'gru_cell/kernel': range(2, 9),
      'gru_cell/recurrent_kernel': range(3, 9),
      'gru_cell/bias': range(2, 9),
    },
  });

  test('follows its equations', async () => {
    const {model} = await load(sequentialArtifacts([4, 2], [gru()]));
    const x = tf.randomNormal<tf.Rank.R3>([1, 4, 2], 0, 1, 'float32', 3);
    const [w, u, b] = [range(2, 9), range(3, 9), range(2, 9)].map(({values: numbers, shape}) =>
      tf.tensor<tf.Rank>(numbers, shape),
    ) as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
    const [inputBias, recurrentBias] = tf.unstack(b) as [tf.Tensor, tf.Tensor];
    let h: tf.Tensor2D = tf.zeros([1, 3]);
    const states: tf.Tensor[] = [];
    for (const step of tf.unstack(x, 1) as tf.Tensor2D[]) {
      const a = step.matMul(w).add(inputBias).split(3, 1) as [tf.Tensor, tf.Tensor, tf.Tensor];
      const c = h.matMul(u).add(recurrentBias).split(3, 1) as [tf.Tensor, tf.Tensor, tf.Tensor];
      const z = a[0].add(c[0]).sigmoid();
      const r = a[1].add(c[1]).sigmoid();
      const n = a[2].add(r.mul(c[2])).tanh();
      h = z.mul(h).add(tf.sub(1, z).mul(n)) as tf.Tensor2D;
      states.push(h);
    }
    const expected = values(tf.stack(states, 1));
    values(model.predict(x)).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 5);
    });
  });

  test('saves, loads and trains', async () => {
    const {model} = await load(sequentialArtifacts([4, 2], [gru(), dense(1, 3)]));
    const x = tf.randomNormal([2, 4, 2], 0, 1, 'float32', 3);
    const before = values(model.predict(x));
    let saved: tf.io.ModelArtifacts | undefined;
    await model.save(
      tf.io.withSaveHandler(async (artifacts) => {
        saved = artifacts;
        return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
      }),
    );
    expect(values((await tf.loadLayersModel(tf.io.fromMemory(saved!))).predict(x))).toEqual(before);
    model.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
    const y = tf.ones([2, 4, 1]);
    const first = (await model.trainOnBatch(x, y)) as number;
    for (let step = 0; step < 5; step++) await model.trainOnBatch(x, y);
    expect((await model.trainOnBatch(x, y)) as number).toBeLessThan(first);
  });
});

describe('weights', () => {
  test('of a second Keras session in one process', async () => {
    const artifacts = sequentialArtifacts(
      [3],
      [dense(2, 3, {name: 'dense_1'}), dense(2, 2, {name: 'dense_10'})],
    );
    artifacts.weightSpecs = artifacts.weightSpecs!.map((spec) => ({
      ...spec,
      name: spec.name.replace('dense_0/', 'dense_1_1/').replace('dense_1/', 'dense_10/'),
    }));
    const {model} = await load(artifacts);
    expect(values(model.getLayer('dense_1').getWeights()[0]!)).toEqual([
      ...Float32Array.from(range(3, 2).values),
    ]);
  });

  test('that do not fit are refused by name', async () => {
    const good = sequentialArtifacts([3], [dense(2, 3)]);
    const [kernel, bias] = good.weightSpecs as [tf.io.WeightsManifestEntry, tf.io.WeightsManifestEntry];
    const rename = (name: string) => ({...good, weightSpecs: [kernel, {...bias, name}]});
    const cases: [tf.io.ModelArtifacts, RegExp][] = [
      [
        rename('elsewhere/bias'),
        /Weight 'elsewhere\/bias' \[2\] of the file belongs to no layer of the model \(dense_0\)/,
      ],
      [
        {...good, weightSpecs: [{...kernel, name: 'dense_0/k', shape: [2, 3]}, bias]},
        /'dense_0\/k' \[2,3\].*does not fit 'dense_0\/kernel' \[3,2\]/,
      ],
      [
        {...good, weightSpecs: [{...kernel, name: 'dense_0/x/kernel'}]},
        /1 of the 2 weights of layer 'dense_0': 'dense_0\/bias'/,
      ],
    ];
    for (const [artifacts, message] of cases) {
      const refused = load(artifacts);
      await expect(refused).rejects.toThrow(WeightMismatchError);
      await expect(refused).rejects.toThrow(message);
    }
  });

  test('of a .keras file, by any of its spellings; not of several layers in one wrapper', async () => {
    for (const path of [
      'layers/dense/vars/',
      'layers\\dense\\vars\\',
      '_layer_checkpoint_dependencies/dense/vars/',
    ]) {
      const artifacts = sequentialArtifacts([3], [dense(2, 3)]);
      artifacts.weightSpecs = artifacts.weightSpecs!.map((spec, i) => ({...spec, name: `${path}${i}`}));
      const {model} = await load(artifacts);
      expect(values(model.getWeights()[1]!)).toEqual([...Float32Array.from(range(2).values)]);
    }
    const artifacts = sequentialArtifacts([3], [dense(2, 3)]);
    artifacts.weightSpecs = artifacts.weightSpecs!.map((spec, i) => ({
      ...spec,
      name: `layers/dense/part_${i}/vars/0`,
    }));
    await expect(load(artifacts)).rejects.toThrow(/'dense_0' holds several layers \(part_0, part_1\)/);
  });

  test('that are states of random generators are left out, with their bytes', async () => {
    const artifacts = sequentialArtifacts([3], [dense(2, 3), {class_name: 'Dropout', config: {rate: 0.5}}]);
    artifacts.weightSpecs = [
      {name: 'dropout_1/seed_generator/seed_generator_state', shape: [2], dtype: 'int32'},
      ...artifacts.weightSpecs!,
    ];
    artifacts.weightData = tf.io.concatenateArrayBuffers([
      Int32Array.from([7, 8]).buffer as ArrayBuffer,
      artifacts.weightData as ArrayBuffer,
    ]);
    const {model} = await load(artifacts);
    expect(values(model.layers[0]!.getWeights()[1]!)).toEqual([...Float32Array.from(range(2).values)]);
  });
});

describe('a source', () => {
  const artifacts = () => sequentialArtifacts([3], [dense(2, 3, {activation: 'silu'})]);

  test('may be an address that tfjs has a handler for', async () => {
    tf.io.registerLoadRouter((url) =>
      url === 'memory://silu' ? tf.io.fromMemory(artifacts()) : (null as unknown as tf.io.IOHandler),
    );
    const seen: Repair[] = [];
    const handler = normalizeArtifacts('memory://silu', {onRepair: (repair) => seen.push(repair)});
    await tf.loadLayersModel(handler);
    expect(seen).toEqual(handler.repairs);
    expect(seen.length).toBeGreaterThan(0);
  });

  test('may be a handler of either kind', async () => {
    for (const inner of [tf.io.fromMemory(artifacts()), tf.io.fromMemorySync(artifacts())]) {
      const model = await tf.loadLayersModel(normalizeArtifacts(inner));
      expect(model.layers.length).toBe(1);
    }
  });

  test.each([
    ['a handler that only saves', {save: async () => ({}) as tf.io.SaveResult}, /has no load\(\)/],
    ['nothing', null as unknown as tf.io.IOHandler, /takes an address.*but got null/],
    ['artifacts without a topology', {weightSpecs: []} as tf.io.ModelArtifacts, /no JSON modelTopology/],
    ['a topology of neither kind', {modelTopology: {a: 1}} as tf.io.ModelArtifacts, /neither a graph nor/],
  ])('is not %s', async (_, source, message) => {
    const refused = normalizeArtifacts(source).load();
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow(message);
  });
});
