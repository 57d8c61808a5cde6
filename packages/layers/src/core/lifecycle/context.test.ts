import * as tf from '@tensorflow/tfjs';
import {ConfigError} from '@tfjs-peft/kernels';
import {type AdapterConfig, upgrade, usageCallback} from '../../index.js';
import {normal} from '../../testing/sites.js';

beforeAll(() => tf.setBackend('cpu'));

/** A model one of whose inputs is the number of the task. */
function model(): tf.LayersModel {
  const x = tf.input({shape: [4], name: 'features'});
  const task = tf.input({shape: [1], name: 'task'});
  const number = tf.layers.reshape({targetShape: [1], name: 'task_number'}).apply(task) as tf.SymbolicTensor;
  const joined = tf.layers.concatenate({name: 'joined'}).apply([number, x]) as tf.SymbolicTensor;
  const hidden = tf.layers
    .dense({units: 5, name: 'hidden', kernelInitializer: tf.initializers.glorotNormal({seed: 1})})
    .apply(joined) as tf.SymbolicTensor;
  const y = tf.layers
    .dense({units: 2, name: 'head', kernelInitializer: tf.initializers.glorotNormal({seed: 2})})
    .apply(hidden) as tf.SymbolicTensor;
  return tf.model({inputs: [x, task], outputs: y});
}

const adapter: AdapterConfig = {type: 'molora', experts: 3, rank: 1, router: {type: 'task'}};
const inputs = (n = 6) => [normal([n, 4], 3), tf.tensor2d(Array.from({length: n}, (_, i) => [i % 3]))];

describe('context', () => {
  it('comes from a layer of the model, so that fit and predict stay as they are', async () => {
    const m = model();
    const peft = await upgrade(m, {adapter, targets: ['hidden'], seed: 1});
    peft.contextFrom('task_number', ([task]) => ({task: task!}));
    peft.trackUsage({tasks: 3});
    m.predict(inputs());
    const [site] = await peft.usage();
    expect(site).toMatchObject({site: 'hidden', active: 1, tokens: 6});
    expect(site!.tasks!.map(({share}) => share)).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    m.compile({optimizer: tf.train.adam(0.02), loss: 'meanSquaredError'});
    const y = normal([6, 2], 9);
    const {history} = await m.fit(inputs(), y, {epochs: 20, batchSize: 3, verbose: 0});
    expect(history.loss!.at(-1)).toBeLessThan(history.loss![0] as number);
    const tensors = tf.memory().numTensors;
    await m.fit(inputs(), y, {epochs: 3, batchSize: 3, verbose: 0});
    // The inputs of that call.
    expect(tf.memory().numTensors).toBe(tensors + 2);
    peft.detach();
    m.predict(inputs());
  });

  it('is set by one function, and held until it is set again', async () => {
    const m = model();
    const before = tf.memory().numTensors;
    const peft = await upgrade(m, {adapter: {type: 'mor1e', r1: 2, r2: 2}, targets: ['hidden']});
    expect(() => m.predict(inputs())).toThrow(/no intuition.*setContext/);
    const intuition = tf.tensor2d([[1, 0, 2, 0]]);
    peft.setContext({intuition});
    intuition.dispose();
    tf.tidy(() => m.predict(inputs()));
    expect(() => peft.setContext({intuitions: tf.zeros([1])} as never)).toThrow(
      /unknown option 'intuitions'/,
    );
    expect(() => peft.setContext({task: 2} as never)).toThrow(ConfigError);
    tf.tidy(() => m.predict(inputs()));
    expect(() => peft.contextFrom('nowhere', () => ({}))).toThrow(/no layer 'nowhere'.*'task_number'/);
    peft.detach();
    expect(tf.memory().numTensors).toBeLessThanOrEqual(before + 8);
  });

  it('holds no tensor after it is taken away', async () => {
    const m = model();
    const peft = await upgrade(m, {adapter, targets: ['hidden']});
    const before = tf.memory().numTensors;
    tf.tidy(() => {
      peft.setContext({task: tf.tensor1d([0], 'int32')});
      peft.setContext({task: tf.tensor1d([1])});
      m.predict(inputs());
    });
    expect(tf.memory().numTensors).toBe(before + 1);
    peft.setContext(null);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('usage', () => {
  it('has to be tracked first', async () => {
    const peft = await upgrade(model(), {adapter: {type: 'mov'}});
    await expect(peft.usage()).rejects.toThrow(/not tracked.*trackUsage/);
    expect(() => peft.trackUsage({tasks: -1})).toThrow(/tasks is -1/);
  });

  it('gives shares, entropy and the mean number of chosen experts, leaving nothing behind', async () => {
    const m = model();
    const router = {type: 'softmax', topK: 2} as const;
    const peft = await upgrade(m, {adapter: {type: 'mov', experts: 4, router}, seed: 2});
    const [six, nine] = [inputs(), inputs(9)];
    const before = tf.memory().numTensors;
    peft.trackUsage();
    tf.dispose(m.predict(six));
    tf.dispose(m.predict(nine));
    const sites = await peft.usage({reset: true});
    expect(sites.map(({site}) => site)).toEqual(['hidden', 'head']);
    for (const {share, entropy, active, tokens} of sites) {
      expect(share.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
      expect(entropy).toBeCloseTo(-share.reduce((sum, p) => sum + p * Math.log(p), 0), 6);
      expect(active).toBe(2);
      expect(tokens).toBe(15);
    }
    expect(await peft.usage()).toEqual([]);
    peft.stopTrackingUsage();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('is logged in fit by task and expert', async () => {
    const m = model();
    const peft = await upgrade(m, {adapter, targets: ['hidden'], seed: 1});
    peft.contextFrom('task_number', ([task]) => ({task: task!}));
    m.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
    const callbacks = usageCallback(peft, {tasks: 3});
    const {history} = await m.fit(inputs(), normal([6, 2], 9), {epochs: 2, verbose: 0, callbacks});
    for (let task = 0; task < 3; task++) {
      for (let expert = 0; expert < 3; expert++) {
        const share = task === expert ? 1 : 0;
        expect(history[`hidden/task_${task}/share_${expert}`]).toEqual([share, share]);
      }
    }
    for (const share of history['hidden/share_1'] as number[]) expect(share).toBeCloseTo(1 / 3, 6);
  });

  it('is logged in fit, epoch by epoch', async () => {
    const m = model();
    const peft = await upgrade(m, {adapter: {type: 'lime', experts: 2}, targets: ['hidden'], seed: 2});
    m.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
    const lines: string[] = [];
    const {history} = await m.fit(inputs(), normal([6, 2], 9), {
      epochs: 2,
      verbose: 0,
      callbacks: usageCallback(peft, {print: (line) => lines.push(line)}),
    });
    expect(history['hidden/entropy']).toHaveLength(2);
    for (const active of history['hidden/active'] as number[]) {
      expect(active).toBeGreaterThanOrEqual(1);
      expect(active).toBeLessThanOrEqual(2);
    }
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/^epoch 2, hidden: [\d.]+ %, [\d.]+ %; entropy 0\.\d+, [\d.]+ active$/);
  });
});

describe('auxiliary losses', () => {
  const losses: AdapterConfig[] = [
    {
      type: 'lime',
      experts: 3,
      over: {type: 'lora', rank: 2},
      router: {type: 'zero', importance: 5, divergence: 3},
    },
    {
      type: 'molora',
      experts: 3,
      rank: 2,
      router: {type: 'noisy-top-k', noise: 0, topK: 1, balance: 5, zLoss: 1},
    },
  ];

  it.each(losses)('reach the loss of fit, and not that of evaluate: $type', async (config) => {
    const weightless = JSON.parse(
      JSON.stringify(config, (key, value) =>
        ['importance', 'divergence', 'balance', 'zLoss'].includes(key) ? 0 : (value as unknown),
      ),
    ) as AdapterConfig;
    const lossOf = async (chosen: AdapterConfig) => {
      const m = model();
      await upgrade(m, {adapter: chosen, targets: ['hidden'], seed: 4});
      m.compile({optimizer: tf.train.sgd(0), loss: 'meanSquaredError'});
      const y = normal([6, 2], 9);
      const evaluated = (m.evaluate(inputs(), y) as tf.Scalar).dataSync()[0]!;
      const {history} = await m.fit(inputs(), y, {epochs: 1, verbose: 0});
      return {fitted: history.loss![0] as number, evaluated};
    };
    const [withLoss, without] = [await lossOf(config), await lossOf(weightless)];
    expect(withLoss.evaluated).toBeCloseTo(without.evaluated, 6);
    expect(without.fitted).toBeCloseTo(without.evaluated, 5);
    expect(withLoss.fitted).toBeGreaterThan(without.fitted + 0.01);
  });

  it.each(losses)('even out the use of experts, and leave no tensor behind: $type', async (config) => {
    const m = model();
    const peft = await upgrade(m, {adapter: config, targets: ['hidden'], seed: 4});
    m.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
    const [x, y] = [inputs(12), normal([12, 2], 9)];
    const entropy = async () => {
      peft.trackUsage();
      tf.tidy(() => m.predict(x));
      const [site] = await peft.usage();
      peft.stopTrackingUsage();
      return site!.entropy;
    };
    const before = await entropy();
    await m.fit(x, y, {epochs: 5, verbose: 0});
    const tensors = tf.memory().numTensors;
    await m.fit(x, y, {epochs: 60, verbose: 0});
    expect(tf.memory().numTensors).toBe(tensors);
    // A fresh softmax router's mean probabilities are even already.
    if (config.type === 'lime') expect(await entropy()).toBeGreaterThan(before);
  });

  it('are counted once where a layer is used twice, and in a loop of one’s own hold one step at most', async () => {
    const shared = tf.layers.dense({units: 4, name: 'shared'});
    const x = tf.input({shape: [4]});
    const once = shared.apply(x) as tf.SymbolicTensor;
    const m = tf.model({inputs: x, outputs: shared.apply(once) as tf.SymbolicTensor});
    await upgrade(m, {adapter: {...losses[1]!} as AdapterConfig, seed: 1});
    const batch = normal([5, 4], 2);
    const step = () =>
      tf.tidy(() => {
        const {grads} = tf.variableGrads(
          () => tf.mean(m.apply(batch, {training: true}) as tf.Tensor) as tf.Scalar,
        );
        tf.dispose(grads);
      });
    step();
    const tensors = tf.memory().numTensors;
    for (let i = 0; i < 5; i++) step();
    expect(tf.memory().numTensors).toBe(tensors);
    m.compile({optimizer: tf.train.sgd(0.01), loss: 'meanSquaredError'});
    await m.fit(batch, batch, {epochs: 2, verbose: 0});
  });
});
