import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import {ConfigError, combine, DuplicateNameError, UnsupportedSiteError} from '@tfjs-peft/kernels';
import {type AdapterConfig, createAdapter, PeftDense} from '../../index.js';
import {ADAPTERS, disturb, normal} from '../../testing/sites.js';

/** A stock layer, and a PeftDense that took its place, with one active adapter if a config is given. */
function sitePair(args: Partial<Parameters<typeof tf.layers.dense>[0]>, config?: AdapterConfig) {
  const stock = tf.layers.dense({
    units: 130,
    kernelInitializer: tf.initializers.glorotNormal({seed: 1}),
    biasInitializer: tf.initializers.randomNormal({seed: 2}),
    ...args,
  });
  stock.apply(tf.input({shape: [null as unknown as number, 17]}));
  const layer = PeftDense.fromDense(stock);
  if (config !== undefined) {
    layer.addAdapter('default', config, 3);
    layer.activate('default');
  }
  return {stock, layer};
}

async function bits(tensor: tf.Tensor | tf.Tensor[]): Promise<Uint32Array> {
  const values = (await (tensor as tf.Tensor).data()) as Float32Array;
  return new Uint32Array(values.slice().buffer);
}

describe.each(['cpu', 'wasm'])('PeftDense outputs on %s', (backend) => {
  beforeAll(async () => {
    expect(await tf.setBackend(backend)).toBe(true);
  });

  const activations = [
    'linear',
    'relu',
    'gelu',
    'swish',
    'elu',
    'softmax',
    'selu',
    'hardSigmoid',
    'mish',
  ] as const;

  it.each(activations)('are the stock bits without an active adapter, %s', async (activation) => {
    const {stock, layer} = sitePair({activation}, {type: 'lora'});
    disturb(layer, 'default');
    const x = normal([3, 5, 17], 4);
    const adapted = await bits(layer.call(x, {}));
    layer.activate(null);
    expect(await bits(layer.call(x, {}))).toEqual(await bits(stock.call(x, {})));
    expect(adapted).not.toEqual(await bits(stock.call(x, {})));
  });

  // A softmax over one expert is exactly 1; over several, its gates sum to 1 only up to rounding.
  const exact: AdapterConfig[] = [...ADAPTERS.filter(({type}) => type !== 'mov'), {type: 'mov', experts: 1}];
  const cases = [...ADAPTERS, exact.at(-1)!].flatMap((config) =>
    activations.map((activation) => ({config, activation})),
  );
  it.each(cases)('are unchanged by a new $config.type adapter, $activation', async ({config, activation}) => {
    const {stock, layer} = sitePair({activation}, config);
    const x = normal([2, 3, 17], 4);
    const [kernel, bias] = layer.base.map((variable) => variable.read()) as [tf.Tensor2D, tf.Tensor1D];
    const y = layer.call(x, {}) as tf.Tensor;
    const want = (await (stock.call(x, {}) as tf.Tensor).data()) as Float32Array;
    const size = want.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
    const got = (await y.data()) as Float32Array;
    const worst = got.reduce((top, value, i) => Math.max(top, Math.abs(value - want[i]!)), 0);
    expect(worst).toBeLessThanOrEqual(1e-6 * size);
    if (
      exact.includes(config) &&
      (activation === 'linear' || activation === 'relu' || activation === 'gelu')
    ) {
      expect(await bits(y)).toEqual(await bits(combine({x, kernel, bias, activation})));
    }
  });

  it('accept int32 inputs, as the stock layer does', async () => {
    const {stock, layer} = sitePair({}, {type: 'ia3'});
    const x = tf.cast(tf.mul(normal([4, 17], 6), 3), 'int32');
    const want = await (stock.call(x, {}) as tf.Tensor).data();
    (await (layer.call(x, {}) as tf.Tensor).data()).forEach((value, i) => {
      expect(value).toBeCloseTo(want[i]!, 4);
    });
  });
});

/** Whether an adapter's own weights start from random values. */
function draws(config: AdapterConfig): boolean {
  let found = false;
  createAdapter(config).build({inputDim: 17, outputDim: 8}, (_name, _shape, {type}, trainable) => {
    found ||= ['normal', 'uniform', 'heUniform'].includes(type) && trainable !== 'shared';
    return {read: () => tf.scalar(0)};
  });
  return found;
}

describe('PeftDense', () => {
  beforeAll(async () => {
    await tf.setBackend('cpu');
  });

  it.each(ADAPTERS)(
    'starts from the same values for the same seed on every backend, $type',
    async (config) => {
      const values = async (backend: string, seed: number) => {
        await tf.setBackend(backend);
        const {layer} = sitePair({});
        layer.addAdapter('any', config, seed);
        // Norms of the kernel are no drawn values: each backend rounds them its own way.
        const drawn = [...layer.adapterWeights('any')].filter(([name]) => name !== 'magnitude');
        const all = drawn.map(([, variable]) => variable.read().data());
        return (await Promise.all(all)).map((data) => Array.from(data));
      };
      const onCpu = await values('cpu', 7);
      const onWasm = await values('wasm', 7);
      const other = await values('cpu', 8);
      expect(onWasm).toEqual(onCpu);
      if (draws(config)) expect(other).not.toEqual(onCpu);
    },
  );

  it('draws normal values of deviation 0.02 for A, zeros for B', async () => {
    const {layer} = sitePair({}, {type: 'lora', rank: 64});
    const weights = layer.adapterWeights('default');
    const a = weights.get('lora_A')!.read();
    const {mean, variance} = tf.moments(a);
    const [m, v] = [mean.dataSync()[0]!, variance.dataSync()[0]!];
    expect(Math.abs(m)).toBeLessThan((0.02 * 4) / Math.sqrt(a.size));
    expect(Math.abs(Math.sqrt(v) / 0.02 - 1)).toBeLessThan(4 / Math.sqrt(2 * a.size));
    const fourth = tf.mean(tf.pow(tf.div(tf.sub(a, mean), Math.sqrt(v)), 4)).dataSync()[0]!;
    expect(Math.abs(fourth - 3)).toBeLessThan(4 * Math.sqrt(24 / a.size));
    expect(tf.max(tf.abs(weights.get('lora_B')!.read())).dataSync()[0]).toBe(0);
  });

  it('shares the variables of the layer that it stands in for', () => {
    const {stock, layer} = sitePair({}, {type: 'lora'});
    expect(layer.base).toEqual(stock.weights);
    layer.base.forEach((variable, i) => {
      expect(variable).toBe(stock.weights[i]);
    });
    expect(layer.name).toBe(stock.name);
    expect(layer.dims).toEqual({inputDim: 17, outputDim: 130});
    expect(stock.trainableWeights).toHaveLength(2);
  });

  it('trains the adapter of a layer that was frozen', () => {
    const stock = tf.layers.dense({units: 3, trainable: false, inputShape: [2]});
    tf.sequential({layers: [stock]});
    const layer = PeftDense.fromDense(stock);
    layer.addAdapter('default', {type: 'lora'});
    layer.activate('default');
    expect(layer.trainableWeights).toHaveLength(2);
    expect(stock.trainable).toBe(false);
  });

  it('trains the active adapter alone, also after trainable was set', () => {
    const {layer} = sitePair({}, {type: 'lora'});
    layer.addAdapter('second', {type: 'mov'});
    const trained = () => layer.trainableWeights.map((variable) => variable.originalName);
    const prefix = layer.name;
    expect(trained()).toEqual([`${prefix}/default/lora_A`, `${prefix}/default/lora_B`]);
    layer.trainable = false;
    expect(trained()).toEqual([]);
    layer.trainable = true;
    expect(trained()).toEqual([`${prefix}/default/lora_A`, `${prefix}/default/lora_B`]);
    layer.activate('second');
    expect(trained()).toEqual([`${prefix}/second/scaling`, `${prefix}/second/router`]);
    expect(layer.weights).toHaveLength(6);
    layer.activate(null);
    expect(trained()).toEqual([]);
    for (const variable of layer.adapterWeights('default').values()) expect(variable.trainable).toBe(false);
  });

  it('adds and removes adapters without leaving tensors behind', () => {
    const {layer} = sitePair({});
    const before = tf.memory();
    for (let i = 0; i < 20; i++) {
      for (const config of ADAPTERS) {
        layer.addAdapter('default', config, i);
        layer.activate('default');
        layer.removeAdapter('default');
      }
    }
    expect(tf.memory()).toMatchObject({numTensors: before.numTensors, numBytes: before.numBytes});
    expect(layer.activeAdapter).toBeNull();
    expect(layer.adapterNames).toEqual([]);
    expect(layer.weights).toHaveLength(2);
  });

  it('refuses what it cannot do, and stays as it is', () => {
    const {layer} = sitePair({}, {type: 'lora'});
    const before = {names: layer.weights.map(({name}) => name), tensors: tf.memory().numTensors};
    expect(() => layer.addAdapter('default', {type: 'ia3'})).toThrow(DuplicateNameError);
    expect(() => layer.addAdapter('', {type: 'ia3'})).toThrow(ConfigError);
    expect(() => layer.addAdapter('other', {type: 'lora', rank: 0})).toThrow(ConfigError);
    expect(() => layer.activate('other')).toThrow(/has no adapter 'other'.*'default'/);
    expect(() => layer.removeAdapter('other')).toThrow(ConfigError);
    expect(() => layer.adapterWeights('toString')).toThrow(ConfigError);
    expect(layer.activeAdapter).toBe('default');
    expect({names: layer.weights.map(({name}) => name), tensors: tf.memory().numTensors}).toEqual(before);
    expect(() => PeftDense.fromDense(tf.layers.flatten())).toThrow(UnsupportedSiteError);
    expect(() => PeftDense.fromDense(tf.layers.dense({units: 2}))).toThrow(ConfigError);
  });

  it('keeps the kernel regularizer in the loss, and the values of `weights`', async () => {
    const kernel = normal([3, 2], 1);
    const bias = normal([2], 2);
    const args = {
      units: 2,
      weights: [kernel, bias],
      kernelRegularizer: tf.regularizers.l2({l2: 0.5}),
      inputShape: [3],
    };
    const layer = new PeftDense(args);
    layer.addAdapter('default', {type: 'lora'});
    layer.activate('default');
    const model = tf.sequential({layers: [layer]});
    const x = normal([4, 3], 3);
    const y = await (model.predict(x) as tf.Tensor).data();
    const want = await tf.add(tf.matMul(x, kernel), bias).data();
    y.forEach((value, i) => {
      expect(value).toBeCloseTo(want[i]!, 5);
    });
    const [loss] = layer.calculateLosses();
    expect((await loss!.data())[0]).toBeCloseTo((await tf.mul(0.5, tf.sum(tf.square(kernel))).data())[0]!, 5);
  });

  it('passes masks through', () => {
    const {layer} = sitePair({}, {type: 'lora'});
    const mask = tf.tensor2d([[1, 1, 0]], [1, 3], 'bool');
    expect(layer.supportsMasking).toBe(true);
    expect(layer.computeMask(normal([1, 3, 17], 1), mask)).toBe(mask);
  });
});
