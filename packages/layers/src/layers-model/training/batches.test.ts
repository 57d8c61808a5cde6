import * as tf from '@tensorflow/tfjs';
import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import {type AdapterConfig, type Peft, upgrade, usageCallback} from '../../index.js';
import {normal} from '../../testing/sites.js';

beforeAll(() => tf.setBackend('cpu'));

const SAMPLES = 50;
const TASKS = 3;
const byTask: AdapterConfig = {type: 'molora', experts: TASKS, rank: 2, router: {type: 'task'}};

function net(): tf.Sequential {
  const glorot = (seed: number) => tf.initializers.glorotNormal({seed});
  return tf.sequential({
    layers: [
      tf.layers.dense({inputShape: [4], units: 6, name: 'hidden', kernelInitializer: glorot(1)}),
      tf.layers.dense({units: 2, name: 'head', kernelInitializer: glorot(2)}),
    ],
  });
}

function randomize(peft: Peft): void {
  peft.trainableVariables().forEach((variable, i) => {
    variable.assign(tf.randomNormal(variable.shape, 0, 0.5, 'float32', i + 1));
  });
}

const tasks = (n = SAMPLES) => tf.tensor1d(Array.from({length: n}, (_, i) => (i * 7) % TASKS));
const x = normal([SAMPLES, 4], 3);
const y = normal([SAMPLES, 2], 4);
const worst = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;

async function adapted(adapter: AdapterConfig = byTask): Promise<{model: tf.Sequential; peft: Peft}> {
  const model = net();
  const peft = await upgrade(model, {targets: ['hidden'], adapter, seed: 1});
  randomize(peft);
  model.compile({optimizer: tf.train.sgd(0.005), loss: 'meanSquaredError'});
  return {model, peft};
}

describe('a context with a row for each sample of a call', () => {
  it.each([7, 25, 32])('follows batches of %d in predict and evaluate', async (batchSize) => {
    const {model, peft} = await adapted();
    peft.setContext({task: tasks()});
    const want = model.predictOnBatch(x) as tf.Tensor;
    expect(worst(model.predict(x, {batchSize}) as tf.Tensor, want)).toBeLessThan(1e-6);
    const loss = tf.losses.meanSquaredError(y, want).dataSync()[0]!;
    expect((model.evaluate(x, y, {batchSize}) as tf.Scalar).dataSync()[0]).toBeCloseTo(loss, 5);
    peft.setContext({task: tf.tensor1d([1])});
    expect(worst(model.predict(x, {batchSize}) as tf.Tensor, want)).toBeGreaterThan(0.01);
  });

  it('follows the shuffled batches of fit, and the samples that fit keeps for validation', async () => {
    // A task that is an input gives the same training: the number of each sample's task travels with it.
    const inputs = [tf.input({shape: [4], name: 'features'}), tf.input({shape: [1], name: 'task'})] as const;
    const own = net();
    const number = tf.layers.reshape({targetShape: [1], name: 'number'}).apply(inputs[1]);
    const none = tf.layers
      .dense({units: 2, kernelInitializer: 'zeros', useBias: false, name: 'none'})
      .apply(number);
    const sum = tf.layers.add().apply([own.apply(inputs[0]), none] as tf.SymbolicTensor[]);
    const fed = tf.model({inputs: [...inputs], outputs: sum as tf.SymbolicTensor});
    const want = await upgrade(fed, {targets: [/hidden$/], adapter: byTask, seed: 1});
    randomize(want);
    want.contextFrom('task', ([task]) => ({task: task!}));
    fed.compile({optimizer: tf.train.sgd(0.005), loss: 'meanSquaredError'});
    const {model, peft} = await adapted();
    peft.setContext({task: tasks()});
    const options = {epochs: 3, batchSize: 8, verbose: 0, validationSplit: 0.3} as const;
    const run = async (fit: () => Promise<tf.History>) => {
      let state = 1;
      const random = jest.spyOn(Math, 'random').mockImplementation(() => {
        state = (state * 16807) % 2147483647;
        return state / 2147483647;
      });
      const {history} = await fit();
      random.mockRestore();
      return history as Record<string, number[]>;
    };
    const expected = await run(() => fed.fit([x, tf.reshape(tasks(), [-1, 1])], y, options));
    const before = tf.memory().numTensors;
    const got = await run(() => model.fit(x, y, options));
    expect(tf.memory().numTensors).toBe(before);
    for (const key of ['loss', 'val_loss'])
      got[key]!.forEach((value, epoch) => {
        expect(value).toBeCloseTo(expected[key]![epoch]!, 5);
      });
  });

  it('that has another number of rows is refused with both shapes', async () => {
    const {model, peft} = await adapted();
    peft.setContext({task: tasks(40)});
    expect(() => model.predict(x)).toThrow(ShapeError);
    expect(() => model.predict(x)).toThrow(/task has shape \[40\]/);
    await expect(model.fit(x, y, {verbose: 0})).rejects.toThrow(ShapeError);
  });

  it('leaves the model its own loops behind', async () => {
    const {model, peft} = await adapted();
    const inner = (model as unknown as {model: object}).model;
    expect(Object.hasOwn(inner, 'predictLoop')).toBe(true);
    peft.detach();
    for (const name of ['predictLoop', 'testLoop', 'fitLoop']) expect(Object.hasOwn(inner, name)).toBe(false);
  });
});

describe('a mask that does not fit the batch', () => {
  const sequences = () =>
    tf.sequential({layers: [tf.layers.dense({inputShape: [6, 8], units: 3, name: 'hidden'})]});

  it.each([[[32, 128]], [[8, 7]], [[4, 6]], [[48]]])('[%j] is refused with both shapes', async (shape) => {
    const model = sequences();
    const peft = await upgrade(model, {targets: ['hidden'], adapter: {type: 'mov', experts: 2}});
    peft.setContext({mask: tf.ones(shape)});
    expect(() => model.predict(tf.ones([8, 6, 8]))).toThrow(ShapeError);
    expect(() => model.predict(tf.ones([8, 6, 8]))).toThrow(
      new RegExp(`'hidden'.*mask has shape \\[${shape}\\], but the tokens here are \\[8,6\\]`),
    );
  });

  it('counts for all samples where it has one row', async () => {
    const model = sequences();
    const peft = await upgrade(model, {targets: ['hidden'], adapter: {type: 'mov', experts: 2}});
    peft.trackUsage();
    peft.setContext({mask: tf.tensor2d([[1, 1, 1, 0, 0, 0]])});
    model.predict(tf.ones([8, 6, 8]));
    expect((await peft.usage())[0]!.tokens).toBe(24);
  });
});

describe('task numbers', () => {
  it.each([[[0, 3]], [[0.5, 1]], [[-1, 0]]])('%j are refused when they are set', async (numbers) => {
    const {peft} = await adapted();
    const set = () => peft.setContext({task: tf.tensor1d(numbers)});
    expect(set).toThrow(ConfigError);
    expect(set).toThrow(/setContext: the task of sample \d is/);
  });

  it('that were set before an adapter with fewer tasks are refused when it runs', async () => {
    const {model, peft} = await adapted();
    peft.setContext({task: tf.tensor1d([2])});
    const two: AdapterConfig = {type: 'mov', experts: 2, router: {type: 'task'}};
    await upgrade(model, {name: 'two', targets: ['hidden'], adapter: two});
    expect(() => model.predict(x)).toThrow(/task of sample 0 is 2.*from 0 to 1/);
  });
});

describe('contextFrom', () => {
  it('of an input sees its values where a layer takes them in', async () => {
    const features = tf.input({shape: [4], name: 'features'});
    const task = tf.input({shape: [1], name: 'task'});
    const joined = tf.layers.concatenate({name: 'joined'}).apply([features, task]) as tf.SymbolicTensor;
    const head = tf.layers.dense({units: 2, name: 'head'}).apply(joined) as tf.SymbolicTensor;
    const model = tf.model({inputs: [features, task], outputs: head});
    const peft = await upgrade(model, {targets: ['head'], adapter: byTask, seed: 1});
    peft.contextFrom('task', (inputs) => {
      expect(inputs.map(({shape}) => shape)).toEqual([[4, 1]]);
      return {task: inputs[0]!};
    });
    peft.trackUsage({tasks: 3});
    model.predict([normal([4, 4], 1), tf.tensor2d([[0], [1], [1], [2]])]);
    expect((await peft.usage())[0]!.tasks!.map(({tokens}) => tokens)).toEqual([1, 2, 1]);
    peft.detach();
  });

  it('of an input that feeds nothing, and of what is no path, says so', async () => {
    const features = tf.input({shape: [4], name: 'features'});
    const task = tf.input({shape: [1], name: 'task'});
    const head = tf.layers.dense({units: 2, name: 'head'}).apply(features) as tf.SymbolicTensor;
    const peft = await upgrade(tf.model({inputs: [features, task], outputs: head}), {adapter: byTask});
    expect(() => peft.contextFrom('task', () => ({}))).toThrow(/input 'task' feeds no layer/);
    const layer = peft.model.layers[1] as unknown as string;
    expect(() => peft.contextFrom(layer, () => ({}))).toThrow(ConfigError);
    expect(() => peft.contextFrom(layer, () => ({}))).toThrow(/must be the path of a layer/);
  });
});

describe('a seed', () => {
  it.each<AdapterConfig>([
    {type: 'molora', experts: 4, rank: 2, router: {type: 'noisy-top-k'}},
    {type: 'molora', experts: 4, rank: 2, router: {type: 'softmax', jitter: 0.2}},
    {type: 'lime', experts: 3, router: {type: 'zero', jitter: 0.2}},
  ])('covers the noise of training: %j', async (adapter) => {
    const run = async () => {
      const {model} = await adapted(adapter);
      const {history} = await model.fit(x, y, {epochs: 2, shuffle: false, verbose: 0});
      return history.loss;
    };
    const losses = await run();
    expect(await run()).toEqual(losses);
    const other = net();
    const peft = await upgrade(other, {targets: ['hidden'], adapter, seed: 2});
    randomize(peft);
    other.compile({optimizer: tf.train.sgd(0.005), loss: 'meanSquaredError'});
    expect((await other.fit(x, y, {epochs: 2, shuffle: false, verbose: 0})).history.loss).not.toEqual(losses);
  });
});

describe('a callback', () => {
  it('that tracks usage leaves it as it was before', async () => {
    const {model, peft} = await adapted({type: 'molora', experts: 2});
    await model.fit(x, y, {verbose: 0, callbacks: usageCallback(peft)});
    await expect(peft.usage()).rejects.toThrow(/usage is not tracked/);
    peft.trackUsage({tasks: 2});
    await model.fit(x, y, {verbose: 0, callbacks: usageCallback(peft)});
    expect(peft.usageTracking).toEqual({tasks: 2});
    expect(await peft.usage()).toEqual([]);
  });
});

describe('a layer too narrow for the router', () => {
  const narrow = () =>
    tf.sequential({
      layers: [
        tf.layers.dense({inputShape: [4], units: 8, name: 'wide'}),
        tf.layers.dense({units: 1, name: 'narrow'}),
      ],
    });

  it('is left out where a preset or a pattern took it in, and the report says so', async () => {
    for (const targets of ['all-projections' as const, 'all-dense' as const, [/w/]]) {
      const peft = await upgrade(narrow(), {targets, adapter: {type: 'lime'}});
      const {sites} = peft.report();
      expect(sites.map(({name, status}) => [name, status])).toEqual([
        ['wide', 'adapted'],
        ['narrow', 'unsupported'],
      ]);
      expect(String(peft.report())).toMatch(/'narrow'.*reads 4 columns, but the site's output has 1/);
      peft.detach();
    }
  });

  it('is refused by its name where it is named, or the only one', async () => {
    const named = upgrade(narrow(), {targets: ['wide', 'narrow'], adapter: {type: 'lime'}});
    await expect(named).rejects.toThrow(/Layer 'narrow'.*reads 4 columns.*by an override/);
    await expect(upgrade(narrow(), {targets: [/^n/], adapter: {type: 'lime'}})).rejects.toThrow(
      /Layer 'narrow'/,
    );
  });

  it('takes fewer experts by an override', async () => {
    const overrides = [{targets: ['narrow'], adapter: {experts: 1}}];
    const peft = await upgrade(narrow(), {targets: ['wide', 'narrow'], adapter: {type: 'lime'}, overrides});
    expect(peft.report().sites.every(({status}) => status === 'adapted')).toBe(true);
  });
});
