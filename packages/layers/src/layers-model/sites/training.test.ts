import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import {PeftDense} from '../../index.js';
import {ADAPTERS, dropIn, normal} from '../../testing/sites.js';

function modelWith(config: (typeof ADAPTERS)[number], extra: object = {}): tf.Sequential {
  const seeded = (seed: number) => tf.initializers.glorotNormal({seed});
  return tf.sequential({
    layers: [
      dropIn(config, {
        units: 8,
        activation: 'tanh',
        inputShape: [6],
        seed: 3,
        kernelInitializer: seeded(1) as never,
        ...extra,
      }),
      tf.layers.dense({units: 3, activation: 'softmax', kernelInitializer: seeded(2)}),
    ],
  });
}

/** Three classes that a linear map of the inputs tells apart. */
function task(n: number) {
  const x = normal([n, 6], 11);
  const labels = tf.tidy(() => tf.argMax(tf.matMul(x as tf.Tensor2D, normal([6, 3], 12) as tf.Tensor2D), 1));
  return {x, y: tf.oneHot(tf.cast(labels, 'int32') as tf.Tensor1D, 3).toFloat()};
}

async function snapshot(model: tf.LayersModel): Promise<Map<string, Float32Array>> {
  const entries = model.weights.map(async (weight) => {
    const data = (await weight.read().data()) as Float32Array;
    return [weight.originalName, data.slice()] as const;
  });
  return new Map(await Promise.all(entries));
}

describe.each(['cpu', 'wasm'])('training drop-in layers on %s', (backend) => {
  beforeAll(async () => {
    expect(await tf.setBackend(backend)).toBe(true);
  });

  it.each(ADAPTERS)('lowers the loss and changes nothing but the adapter, $type', async (config) => {
    const model = modelWith(config);
    model.layers[1]!.trainable = false;
    model.compile({optimizer: tf.train.adam(0.03), loss: 'categoricalCrossentropy'});
    const {x, y} = task(64);
    const before = await snapshot(model);
    const {history} = await model.fit(x, y, {epochs: 30, batchSize: 32, shuffle: false, verbose: 0});
    const losses = history.loss as number[];
    expect(losses.at(-1)).toBeLessThan(0.95 * losses[0]!);
    const after = await snapshot(model);
    const trained = model.trainableWeights.map(({originalName}) => originalName);
    for (const [name, values] of before) {
      if (trained.includes(name)) expect(after.get(name)).not.toEqual(values);
      else expect(after.get(name)).toEqual(values);
    }
  });

  it('trains the kernel and bias as well where trainableBase is set', async () => {
    const model = modelWith({type: 'lora', rank: 2}, {trainableBase: true});
    model.compile({optimizer: tf.train.sgd(0.1), loss: 'categoricalCrossentropy'});
    const {x, y} = task(32);
    const before = await snapshot(model);
    await model.fit(x, y, {epochs: 2, verbose: 0});
    for (const [name, values] of await snapshot(model)) expect(values).not.toEqual(before.get(name));
  });

  it.each(ADAPTERS)('leaves tensors and bytes as they were over 100 steps, $type', async (config) => {
    const model = modelWith(config);
    model.compile({optimizer: tf.train.adam(0.01), loss: 'categoricalCrossentropy'});
    const {x, y} = task(16);
    const step = async () => {
      await model.trainOnBatch(x, y);
    };
    await step();
    const before = tf.memory();
    for (let i = 0; i < 100; i++) await step();
    expect(tf.memory()).toMatchObject({numTensors: before.numTensors, numBytes: before.numBytes});
  });

  it.each(ADAPTERS)(
    'computes no gradient for the frozen kernel, nor for a constant input, $type',
    async (config) => {
      const layer = new PeftDense({units: 9, activation: 'gelu'});
      layer.addAdapter('default', config, 1);
      layer.activate('default');
      layer.build([null, 7]);
      const x = normal([5, 7], 2);
      const productsOf = async (f: () => void) => {
        const {kernels} = await tf.profile(() => {
          f();
          return tf.scalar(0);
        });
        return kernels
          .filter(({name}) => name === 'PeftMatMul')
          .map(({outputShapes}) => outputShapes[0]!.join('x'));
      };
      const loss = (input: tf.Tensor) =>
        tf.sum(layer.call(input, {training: true}) as tf.Tensor) as tf.Scalar;
      const weights = layer.trainableWeights.map((weight) => weight.read() as tf.Variable);
      const step = await productsOf(() => tf.variableGrads(() => loss(x), weights));
      expect(step).not.toContain('7x9');
      expect(step).not.toContain('5x7');
      const watched = tf.variable(x);
      expect(await productsOf(() => tf.variableGrads(() => loss(watched), [watched, ...weights]))).toContain(
        '5x7',
      );

      const {grads} = tf.variableGrads(() => loss(x));
      const own = layer.weights.filter(({name}) => name in grads);
      expect(own).toEqual(layer.trainableWeights);
    },
  );
});
