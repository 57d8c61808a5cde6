import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import '@tfjs-peft/kernels/gradients';
import * as tf from '@tensorflow/tfjs';
import {uniformNumbers} from '@tfjs-peft/routers';
import {
  type AdapterConfig,
  adapted,
  createAdapter,
  PeftDense,
  type PeftLayer,
  trainer,
  upgrade,
} from '../../graph.js';
import {DIALECTS, X_SHAPE} from '../../graph-model/testing/graphs.js';
import {ADAPTERS, disturb, normal} from '../../testing/sites.js';

const RATE = 0.4;
const UNITS = 7;

beforeAll(() => tf.setBackend('cpu'));

/** Uniform numbers that depend on the shape alone. */
const fixed = (shape: number[]): tf.Tensor => {
  const next = uniformNumbers(tf.util.sizeFromShape(shape));
  return tf.tensor(Float32Array.from({length: tf.util.sizeFromShape(shape)}, next), shape);
};
const context = {noise: fixed};
const maskOf = (shape: number[]) => tf.div(tf.cast(tf.greaterEqual(fixed(shape), RATE), 'float32'), 1 - RATE);

/** A Dense with an adapter that has left its start. */
function dense(config: AdapterConfig, args: object = {}): PeftDense {
  const layer = new PeftDense({
    units: UNITS,
    kernelInitializer: tf.initializers.glorotNormal({seed: 1}),
    ...args,
  });
  layer.addAdapter('default', config, 1);
  layer.activate('default');
  layer.build([null, 5]);
  disturb(layer, 'default');
  // The two scalars of MoR1E are the hundredth part of a logit.
  for (const [name, variable] of layer.adapterWeights('default'))
    if (name === 'omega' || name === 'gate') variable.write(tf.tensor1d([0.004]));
  layer.context = () => context;
  return layer;
}

const call = (layer: PeftLayer, x: tf.Tensor, training: boolean) => layer.call(x, {training}) as tf.Tensor;
const far = (got: tf.Tensor, want: tf.Tensor) => tf.max(tf.abs(tf.sub(got, want))).dataSync()[0]!;

describe.each(ADAPTERS)('dropout of %j', (config) => {
  const dropped = {...config, dropout: RATE};

  it('is off outside of training, and on in it', () => {
    const x = normal([3, 4, 5], 2);
    const [with_, without] = [dense(dropped), dense(config)];
    expect(far(call(with_, x, false), call(without, x, false))).toBe(0);
    expect(far(call(with_, x, true), call(without, x, true))).toBeGreaterThan(1e-3);
  });

  it('is in the config only where it is set', () => {
    expect(createAdapter(dropped).getConfig()).toEqual({...createAdapter(config).getConfig(), dropout: RATE});
    expect(createAdapter({...config, dropout: 0}).getConfig()).toEqual(createAdapter(config).getConfig());
  });

  it.each(['cpu', 'wasm'])('has right gradients under a fixed mask, on %s', async (backend) => {
    await tf.setBackend(backend);
    // By default DoRA's norm is a constant of the gradient.
    const whole = config.type === 'dora' ? {...config, normGradient: true} : config;
    const layer = dense({...whole, dropout: RATE}, {activation: 'tanh'});
    const x = tf.variable(normal([2, 3, 5], 2));
    const cotangent = normal([2, 3, UNITS], 3);
    const loss = () => tf.sum(tf.mul(call(layer, x, true), cotangent)) as tf.Scalar;
    const variables = [x, ...layer.trainableWeights.map((weight) => weight.read() as tf.Variable)];
    const {grads} = tf.variableGrads(loss, variables);
    for (const variable of variables) {
      const [start, direction] = [variable.clone(), normal(variable.shape, 4)];
      const at = (step: number) => {
        variable.assign(tf.add(start, tf.mul(direction, step)));
        return loss().dataSync()[0]!;
      };
      const step = /omega|gate/.test(variable.name) ? 1e-4 : 4e-3;
      const slope = (at(step) - at(-step)) / (2 * step);
      variable.assign(start as never);
      const gradient = tf.sum(tf.mul(grads[variable.name]!, direction)).dataSync()[0]!;
      expect(Math.abs(gradient - slope)).toBeLessThan(0.02 * Math.max(1, Math.abs(slope)));
    }
    await tf.setBackend('cpu');
  });
});

describe('the form of dropout', () => {
  let x: tf.Tensor;
  let mask: tf.Tensor;
  beforeAll(() => {
    [x, mask] = [normal([3, 4, 5], 2), maskOf([3, 4, 5])];
  });
  const at = (config: AdapterConfig, kept: AdapterConfig = config) => {
    const layer = dense({...config, dropout: RATE});
    const weights = layer.adapterWeights('default');
    const read = (name: string) => weights.get(name)!.read();
    layer.activate(null);
    const z = call(layer, x, false);
    layer.activate('default');
    return {y: call(layer, x, true), z, read, plain: (input: tf.Tensor) => call(dense(kept), input, false)};
  };
  const times = (input: tf.Tensor, a: tf.Tensor, b: tf.Tensor) =>
    tf.reshape(tf.matMul(tf.matMul(tf.reshape(input, [-1, 5]), a as tf.Tensor2D), b as tf.Tensor2D), [
      3,
      4,
      UNITS,
    ]);

  it.each(['lora', 'lora-fa'] as const)('at %s: the adapter’s input only', (type) => {
    const {y, z, read} = at({type, rank: 2, alpha: 3});
    expect(
      far(y, tf.add(z, tf.mul(times(tf.mul(x, mask), read('lora_A'), read('lora_B')), 1.5))),
    ).toBeLessThan(1e-5);
  });

  it.each<AdapterConfig>([
    {type: 'dora', rank: 2},
    {type: 'lime', experts: 3, over: {type: 'dora', rank: 2}},
    {type: 'lime', experts: 3, over: {type: 'slice', rank: 2}, form: 'code'},
    {type: 'lime', experts: 3, over: {type: 'slice', rank: 2}},
  ])('at %j: the input of the frozen product as well', (config) => {
    const {y, plain} = at(config);
    expect(far(y, plain(tf.mul(x, mask)))).toBeLessThan(1e-5);
  });

  it('at molora: not the router’s input, whatever it reads', () => {
    const gates = [0.3, 0.7];
    const {y, z, read} = at({type: 'molora', experts: 2, rank: 1, alpha: 1, router: {type: 'fixed', gates}});
    const b = tf.mul(read('lora_B'), tf.tensor2d(gates, [2, 1]));
    expect(far(y, tf.add(z, times(tf.mul(x, mask), read('lora_A'), b)))).toBeLessThan(1e-5);
    // LiME's streams over LoRA: the first is the frozen output of the whole input, so with gamma 0 the gates
    // are those without dropout.
    const lime = {
      type: 'lime',
      experts: 2,
      over: {type: 'lora', rank: 2, alpha: 2},
      router: {type: 'zero', gamma: 0},
    };
    const [dropping, whole] = [
      dense({...lime, dropout: RATE} as AdapterConfig),
      dense(lime as AdapterConfig),
    ];
    const seen = [dropping, whole].map((layer) => {
      const recorded: tf.Tensor[] = [];
      const adapter = layer.site.adapterOf('default');
      const parts = adapter.parts.bind(adapter);
      Object.assign(adapter, {
        parts: (view: Parameters<typeof parts>[0]) =>
          parts({
            ...view,
            project: view.project,
            observe: ({gates}) => recorded.push(tf.keep(gates.clone())),
          }),
      });
      call(layer, x, true);
      return recorded[0]!.dataSync();
    });
    expect(seen[0]).toEqual(seen[1]);
  });

  it.each<AdapterConfig>([
    {type: 'ia3'},
    {type: 'ia3', position: 'before-activation'},
    {type: 'mov', form: 'code'},
  ])('at %j: what it changes of the output', (config) => {
    const {y, z, plain} = at(config);
    expect(far(y, tf.add(z, tf.mul(tf.sub(plain(x), z), maskOf([3, 4, UNITS]))))).toBeLessThan(1e-5);
  });

  it('at an Embedding: the change of a token as a whole', () => {
    const make = (dropout: number) => {
      const stock = tf.layers.embedding({
        inputDim: 6,
        outputDim: 4,
        embeddingsInitializer: tf.initializers.randomNormal({seed: 1}),
      });
      const layer = adapted(stock, {type: 'dora', rank: 2, alpha: 2, dropout}, {seed: 1});
      layer.build([null, 3]);
      disturb(layer, 'default');
      layer.context = () => context;
      return layer;
    };
    const ids = tf.tensor2d([1, 2, 3, 4, 5, 0], [2, 3], 'int32');
    const [dropping, whole] = [make(RATE), make(0)];
    const weights = whole.adapterWeights('default');
    const [a, b, kernel] = [weights.get('lora_A')!, weights.get('lora_B')!, whole.base[0]!].map((w) =>
      w.read(),
    );
    const update = tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D);
    const factor = tf.div(weights.get('magnitude')!.read(), tf.norm(tf.add(kernel!, update), 2, 0));
    const want = tf.mul(
      tf.add(tf.gather(kernel!, ids), tf.mul(tf.gather(update, ids), maskOf([2, 3, 1]))),
      factor,
    );
    expect(far(call(dropping, ids, true), want)).toBeLessThan(1e-5);
    expect(far(call(dropping, ids, false), call(whole, ids, false))).toBe(0);
  });

  it.each([
    [
      'a convolution',
      () => tf.layers.conv2d({filters: 3, kernelSize: 2, inputShape: [4, 4, 2]}),
      [2, 4, 4, 2],
    ],
    ['a recurrent layer', () => tf.layers.lstm({units: 3, inputShape: [4, 2]}), [2, 4, 2]],
  ] as const)('at %s: the adapter’s input', (_name, stock, shape) => {
    const layer = adapted(stock(), {type: 'lora', rank: 2, dropout: RATE}, {seed: 1});
    layer.build([...shape]);
    disturb(layer, 'default');
    layer.context = () => context;
    const input = normal([...shape], 4);
    const drops = maskOf([...shape]);
    // Of an input that is 0 where it is not dropped, nothing reaches the adapter.
    const hidden = tf.mul(input, tf.cast(tf.equal(drops, 0), 'float32'));
    const through = call(layer, hidden, true);
    layer.activate(null);
    expect(far(through, call(layer, hidden, true))).toBeLessThan(1e-6);
    layer.activate('default');
    expect(far(call(layer, input, true), call(layer, input, false))).toBeGreaterThan(1e-3);
  });

  it('refuses what is no probability, and a prompt that reads no input', () => {
    for (const dropout of [1, -0.1, Number.NaN, '0.1', null, true])
      expect(() => createAdapter({type: 'ia3', dropout} as AdapterConfig)).toThrow(/ia3 adapter: dropout is/);
    const over = {type: 'prompt', virtualTokens: 2, conditioning: 'none'} as const;
    expect(() => createAdapter({type: 'lime', over, dropout: 0.1})).toThrow(
      /dropout is 0.1, but it reads no input/,
    );
    expect(createAdapter({type: 'lime', over: {...over, conditioning: 'mean'}, dropout: 0.1}).dropout).toBe(
      0.1,
    );
  });
});

describe('the seed of the upgrade decides what is dropped', () => {
  const adapter = {type: 'lora', rank: 2, dropout: 0.5} as const;

  it('in fit of a LayersModel', async () => {
    const trained = async (seed: number) => {
      const kernelInitializer = tf.initializers.glorotNormal({seed: 3});
      const layers = [4, 2].map((units) => tf.layers.dense({units, kernelInitializer, inputShape: [5]}));
      const model = tf.sequential({layers});
      const peft = await upgrade(model, {adapter, seed});
      for (const layer of model.layers as PeftLayer[]) disturb(layer, 'default');
      model.compile({optimizer: tf.train.sgd(0.1), loss: 'meanSquaredError'});
      await model.fit(normal([8, 5], 1), normal([8, 2], 2), {
        epochs: 2,
        batchSize: 4,
        shuffle: false,
        verbose: 0,
      });
      return peft.trainableVariables().map((variable) => [...variable.dataSync()]);
    };
    const [first, again, other] = [await trained(1), await trained(1), await trained(2)];
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });

  it('in fit of a trainer', async () => {
    const trained = async (seed: number, dropout = 0.5) => {
      const model = await DIALECTS.fused!().load();
      const peft = await upgrade(model, {adapter: {...adapter, dropout}, seed: 1});
      for (const variable of peft.trainableVariables())
        variable.assign(normal(variable.shape, seed) as never);
      const training = trainer(model, {loss: 'meanSquaredError', optimizer: tf.train.sgd(0.01)});
      const [xs, ys] = [normal([4, ...X_SHAPE.slice(1)], 1), normal([4, 3, 5], 2)];
      await training.fit({xs, ys}, {epochs: 2, batchSize: 2, seed: 1, verbose: 0});
      return peft.trainableVariables().map((variable) => [...variable.dataSync()]);
    };
    const first = await trained(1);
    expect(await trained(1)).toEqual(first);
    expect(await trained(1, 0)).not.toEqual(first);
  });
});
