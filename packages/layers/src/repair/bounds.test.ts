import * as tf from '@tensorflow/tfjs';
import {ConfigError, PeftError, WeightMismatchError} from '@tfjs-peft/kernels';
import {normalizeArtifacts} from '../repair.js';
import {graphArtifacts} from './testing/artifacts.js';

beforeAll(() => tf.setBackend('cpu'));

interface Spec {
  name: string;
  shape: number[];
}

const dense = (units: number, config: object = {}) => ({
  class_name: 'Dense',
  config: {name: 'd', units, activation: 'linear', use_bias: true, ...config},
});
const input = {
  class_name: 'InputLayer',
  config: {batch_input_shape: [null, 4], dtype: 'float32', sparse: false, name: 'i'},
};

function sequential(layers: object[], specs: Spec[], bytes?: number): tf.io.ModelArtifacts {
  const size = specs.reduce((sum, {shape}) => sum + 4 * tf.util.sizeFromShape(shape), 0);
  return {
    format: 'layers-model',
    modelTopology: {
      keras_version: '2.15.0',
      backend: 'tensorflow',
      model_config: {class_name: 'Sequential', config: {name: 's', layers}},
    },
    weightSpecs: specs.map((spec) => ({...spec, dtype: 'float32' as const})),
    weightData: new ArrayBuffer(bytes ?? size),
  };
}

const load = (artifacts: tf.io.ModelArtifacts) => tf.loadLayersModel(normalizeArtifacts(artifacts));

describe('weights under the names of tfjs', () => {
  const kernel = {name: 'd/kernel', shape: [4, 2]};
  const bias = {name: 'd/bias', shape: [2]};

  it('load where they fit', async () => {
    const model = await load(sequential([input, dense(2)], [kernel, bias]));
    expect(model.predict(tf.ones([1, 4]))).toBeDefined();
  });

  it.each<[string, Spec[], RegExp]>([
    [
      'another shape',
      [{...kernel, shape: [5, 2]}, bias],
      /'d\/kernel' \[5,2\].*does not fit.*\[4,2\] of layer 'd'/,
    ],
    ['a missing bias', [kernel], /1 of the 2 weights of layer 'd': 'd\/bias' \[2\] is missing/],
    ['a bias twice', [kernel, bias, bias], /'d\/bias' twice/],
    ['transposed', [{...kernel, shape: [2, 4]}, bias], /does not fit/],
  ])('are refused by name: %s', async (_, specs, message) => {
    const refused = load(sequential([input, dense(2)], specs));
    await expect(refused).rejects.toThrow(WeightMismatchError);
    await expect(refused).rejects.toThrow(message);
  });
});

describe('sizes that a file claims', () => {
  const claims: [string, tf.io.ModelArtifacts][] = [
    ['units without weights for them', sequential([input, dense(4e8)], [{name: 'd/kernel', shape: [4, 2]}])],
    ['units without any weights', sequential([input, dense(4e8)], [])],
    ['specs without bytes', sequential([input, dense(4e8)], [{name: 'd/kernel', shape: [4, 4e8]}], 16)],
    [
      'an Embedding',
      sequential(
        [
          {
            class_name: 'Embedding',
            config: {name: 'e', input_dim: 2 ** 31, output_dim: 512, batch_input_shape: [null, 3]},
          },
        ],
        [],
      ),
    ],
    [
      'a GRU in a wrapper',
      sequential(
        [
          {
            class_name: 'Bidirectional',
            config: {
              name: 'b',
              batch_input_shape: [null, 3, 4],
              layer: {class_name: 'GRU', config: {name: 'g', units: 30000}},
            },
          },
        ],
        [],
      ),
    ],
  ];

  it.each(claims)('allocate nothing: %s', async (_, artifacts) => {
    const make = jest.spyOn(tf.util, 'makeZerosTypedArray');
    const before = tf.memory().numBytes;
    await expect(load(artifacts)).rejects.toThrow(WeightMismatchError);
    const largest = Math.max(0, ...make.mock.calls.map(([size]) => size));
    make.mockRestore();
    expect(largest).toBeLessThan(2e6);
    expect(tf.memory().numBytes - before).toBeLessThan(1e7);
  });

  it.each([
    ['no list', {} as never],
    ['no shape', [{name: 'd/kernel', dtype: 'float32'}] as never],
    ['a negative size', [{name: 'd/kernel', shape: [-1, 2], dtype: 'float32'}] as never],
    ['half a size', [{name: 'd/kernel', shape: [0.5], dtype: 'float32'}] as never],
  ])('are sizes: %s', async (_, weightSpecs) => {
    const refused = load({...sequential([input, dense(2)], []), weightSpecs});
    await expect(refused).rejects.toThrow(ConfigError);
  });

  it('are within the bytes of a graph too', async () => {
    const graph = graphArtifacts({
      inputs: {x: [1, 2]},
      constants: {w: {shape: [2, 2], values: [1, 2, 3, 4]}},
      nodes: {y: {op: 'MatMul', input: ['x', 'w'], attr: {}}},
    });
    graph.weightData = (graph.weightData as ArrayBuffer).slice(0, 8);
    const refused = tf.loadGraphModel(normalizeArtifacts(graph));
    await expect(refused).rejects.toThrow(WeightMismatchError);
    await expect(refused).rejects.toThrow(/8 bytes of weights, but 'w' \[2,2\] ends at byte 16/);
  });
});

it('a topology that is nested without end is refused', async () => {
  let layer: object = dense(2);
  for (let i = 0; i < 50_000; i++) layer = {class_name: 'TimeDistributed', config: {name: 't', layer}};
  const refused = load(sequential([input, layer], []));
  await expect(refused).rejects.toThrow(PeftError);
  await expect(refused).rejects.toThrow(/nested more than 200 levels deep/);
});

describe('a causal Conv1D', () => {
  const config = {
    filters: 2,
    kernel_size: [3],
    padding: 'causal',
    strides: [1],
    dilation_rate: [1],
    activation: 'linear',
    use_bias: false,
  };
  const steps = {
    class_name: 'InputLayer',
    config: {batch_input_shape: [null, 6, 4], dtype: 'float32', sparse: false, name: 'i'},
  };
  const kernel = {name: 'l/kernel', shape: [3, 4, 2]};

  it.each([
    ['behind an input layer', [steps, {class_name: 'Conv1D', config: {...config, name: 'l'}}]],
    ['first', [{class_name: 'Conv1D', config: {...config, name: 'l', batch_input_shape: [null, 6, 4]}}]],
  ])('loads in a Sequential model, %s, and sees no later step', async (_, layers) => {
    const model = await load(sequential(layers, [kernel]));
    model.setWeights([tf.ones([3, 4, 2])]);
    const x = tf.ones([1, 6, 4]);
    const y = (model.predict(x) as tf.Tensor3D).arraySync()[0]!;
    expect(y.map((row) => row[0])).toEqual([4, 8, 12, 12, 12, 12]);
  });

  it('loads in a Sequential model inside a Sequential model', async () => {
    const inner = {
      class_name: 'Sequential',
      config: {name: 'inner', layers: [steps, {class_name: 'Conv1D', config: {...config, name: 'l'}}]},
    };
    const model = await load(sequential([steps, inner], [kernel]));
    expect((model.predict(tf.ones([1, 6, 4])) as tf.Tensor).shape).toEqual([1, 6, 2]);
  });
});

describe('options', () => {
  const artifacts = sequential([input, dense(2)], []);

  it.each([
    [{bogus: 1}, /unknown option 'bogus'/],
    [{fromTFHub: true}, /only an address takes fromTFHub,.*this option/],
    [{requestInit: {}}, /only an address takes requestInit/],
    [{strict: false}, /Pass it to tf.loadLayersModel/],
    [{onRepair: 1}, /onRepair is a number/],
    [null, /config is null/],
  ])('%j of artifacts are refused by name', (options, message) => {
    expect(() => normalizeArtifacts(artifacts, options as object)).toThrow(ConfigError);
    expect(() => normalizeArtifacts(artifacts, options as object)).toThrow(message);
  });

  it('fromTFHub asks for the model.json that tfjs-converter asks for', async () => {
    const asked: string[] = [];
    const fetchFunc = async (url: RequestInfo | URL) => {
      asked.push(String(url));
      return new Response('no', {status: 404});
    };
    const hub = normalizeArtifacts('https://example.org/model/1', {fromTFHub: true, fetchFunc});
    await expect(hub.load()).rejects.toThrow(ConfigError);
    expect(asked).toEqual(['https://example.org/model/1/model.json?tfjs-format=file']);
  });
});
