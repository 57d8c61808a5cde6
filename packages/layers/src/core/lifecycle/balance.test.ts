import * as tf from '@tensorflow/tfjs';
import {ConfigError} from '@tfjs-peft/kernels';
import {type AdapterConfig, balanceCallback, balanceScale, type Peft, upgrade} from '../../index.js';
import {disturb, normal} from '../../testing/sites.js';

beforeAll(() => tf.setBackend('cpu'));

const ADAPTER: AdapterConfig = {
  type: 'lime',
  experts: 3,
  over: {type: 'lora', rank: 2},
  router: {type: 'zero', selection: 'all', importance: 5, divergence: 3},
};

async function upgraded(adapter = ADAPTER): Promise<{model: tf.LayersModel; peft: Peft}> {
  const kernelInitializer = (seed: number) => tf.initializers.glorotNormal({seed});
  const model = tf.sequential({
    layers: [
      tf.layers.dense({units: 5, name: 'one', inputShape: [4], kernelInitializer: kernelInitializer(1)}),
      tf.layers.dense({units: 4, name: 'two', kernelInitializer: kernelInitializer(2)}),
    ],
  });
  const peft = await upgrade(model, {adapter, seed: 3});
  for (const layer of model.layers) disturb(layer as never, 'default');
  return {model, peft};
}

const [x, y] = [normal([6, 4], 5), normal([6, 4], 6)];

describe('balanceScale', () => {
  const over = (schedule: Parameters<typeof balanceScale>[0], steps: number, sites = 1) =>
    Array.from({length: steps}, (_, step) => balanceScale(schedule, step, sites));

  it('is 1 at every step in the paper’s form, and a hundredth over the sites at every 50th in the code’s', () => {
    expect(over({}, 4, 3)).toEqual([1, 1, 1, 1]);
    const code = over({form: 'code'}, 101, 4);
    expect(code.flatMap((scale, step) => (scale === 0 ? [] : [step]))).toEqual([0, 50, 100]);
    for (const step of [0, 50, 100]) expect(code[step]).toBeCloseTo(0.0025, 12);
  });

  it('comes up at once, in equal steps, or along a cosine', () => {
    const warmedUp = (warmup: 'constant' | 'linear' | 'cosine') =>
      over({coefficient: 8, warmup, warmupSteps: 4}, 6);
    expect(warmedUp('constant')).toEqual([8, 8, 8, 8, 8, 8]);
    expect(warmedUp('linear')).toEqual([0, 2, 4, 6, 8, 8]);
    const cosine = [0, 1, 2, 3, 4, 4].map((step) => 4 * (1 - Math.cos((Math.PI * step) / 4)));
    warmedUp('cosine').forEach((scale, step) => {
      expect(scale).toBeCloseTo(cosine[step]!, 12);
    });
    expect(over({warmup: 'linear'}, 2)).toEqual([1, 1]);
  });

  it.each<[object, RegExp]>([
    [{every: 0}, /every is 0/],
    [{coefficient: -1}, /coefficient is -1/],
    [{warmup: 'slow'}, /warmup is 'slow'/],
    [{warmupSteps: 1.5}, /warmupSteps is 1.5/],
    [{interval: 2}, /unknown option 'interval'/],
  ])('refuses %j', (schedule, message) => {
    expect(() => balanceScale(schedule, 0)).toThrow(ConfigError);
    expect(() => balanceScale(schedule, 0)).toThrow(message);
  });
});

/** Loss of every step of a fit in which nothing moves. */
async function lossesOfFit(schedule?: Parameters<typeof balanceCallback>[1], adapter = ADAPTER) {
  const {model, peft} = await upgraded(adapter);
  model.compile({optimizer: tf.train.sgd(0), loss: 'meanSquaredError'});
  const callbacks = schedule === undefined ? [] : [balanceCallback(peft, schedule)];
  const {history} = await model.fit(x, y, {epochs: 5, batchSize: 6, verbose: 0, callbacks});
  return {model, peft, losses: history.loss as number[]};
}

const silent = {...ADAPTER, router: {type: 'zero', selection: 'all'}} as AdapterConfig;

describe('balanceCallback', () => {
  it('has the losses count at every so many steps of fit, averaged over the sites', async () => {
    const task = (await lossesOfFit(undefined, silent)).losses[0]!;
    const whole = (await lossesOfFit()).losses[0]! - task;
    expect(whole).toBeGreaterThan(0.1);
    const schedule = {every: 2, average: true, coefficient: 0.5};
    const {losses} = await lossesOfFit(schedule);
    losses.forEach((loss, step) => {
      expect(loss - task).toBeCloseTo(step % 2 === 0 ? (0.5 * whole) / 2 : 0, 5);
    });
    const grown = (await lossesOfFit({warmup: 'linear', warmupSteps: 4})).losses;
    grown.forEach((loss, step) => {
      expect(loss - task).toBeCloseTo((whole * Math.min(step, 4)) / 4, 4);
    });
  });

  it('leaves the losses as they are without it, and no tensor behind', async () => {
    const {model, peft, losses} = await lossesOfFit({every: 10, coefficient: 0.25});
    const tensors = tf.memory().numTensors;
    const callbacks = balanceCallback(peft, {every: 3});
    await model.fit(x, y, {epochs: 7, batchSize: 2, verbose: 0, callbacks});
    expect(tf.memory().numTensors).toBe(tensors);
    const {history} = await model.fit(x, y, {epochs: 1, batchSize: 6, verbose: 0});
    const [weighted, task] = losses as [number, number];
    expect(history.loss![0]).toBeCloseTo(task + 4 * (weighted - task), 4);
  });

  it('evens out the use of the experts', async () => {
    const {model, peft} = await upgraded();
    model.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
    const entropy = async () => {
      peft.trackUsage();
      tf.tidy(() => model.predict(x));
      const sites = await peft.usage({reset: true});
      peft.stopTrackingUsage();
      return sites.reduce((sum, site) => sum + site.entropy, 0);
    };
    const before = await entropy();
    const callbacks = balanceCallback(peft, {every: 2, average: true});
    await model.fit(x, y, {epochs: 40, batchSize: 6, verbose: 0, callbacks});
    expect(await entropy()).toBeGreaterThan(before + 0.01);
  });

  it('refuses a model without such losses, and a bad schedule before anything is trained', async () => {
    const {model, peft} = await upgraded(silent);
    expect(peft.lossSites).toBe(0);
    expect(() => balanceCallback(peft, {every: -1})).toThrow(/every is -1/);
    model.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
    const fit = () => model.fit(x, y, {epochs: 1, verbose: 0, callbacks: balanceCallback(peft)});
    await expect(fit()).rejects.toThrow(/no router of the active adapter has a loss.*importance: 0.1/);
    await model.fit(x, y, {epochs: 1, verbose: 0});
    expect(() => peft.scaleLosses(Number.NaN)).toThrow(/factor is NaN/);
    expect(() => peft.scaleLosses(-1)).toThrow(ConfigError);
  });
});

describe('scaled losses', () => {
  it('have the gradients of their values', async () => {
    const {model, peft} = await upgraded();
    expect(peft.lossSites).toBe(2);
    peft.scaleLosses(0.4);
    const loss = () =>
      tf.tidy(() => {
        model.apply(x, {training: true});
        return model.calculateLosses().reduce((sum, term) => tf.add(sum, term), tf.scalar(0));
      });
    const variables = peft.trainableVariables().filter(({name}) => /lora_[AB]/.test(name));
    const {value, grads} = tf.variableGrads(loss, variables);
    expect(value.dataSync()[0]).toBeGreaterThan(0.01);
    let [along, size] = [0, 0];
    for (const variable of variables) {
      const start = variable.clone();
      const direction = normal(variable.shape, 9);
      // A loss is only kept while a gradient is being taken.
      const at = (step: number) => {
        variable.assign(tf.add(start, tf.mul(direction, step)));
        return tf.variableGrads(loss, [variable]).value.dataSync()[0]!;
      };
      // So small a step keeps off the kinks where another column of a stream is the largest.
      const want = (at(5e-4) - at(-5e-4)) / 1e-3;
      variable.assign(start);
      const got = tf.sum(tf.mul(grads[variable.name]!, direction)).dataSync()[0]!;
      along += Math.abs(got - want);
      size += Math.abs(want);
    }
    expect(size).toBeGreaterThan(0.01);
    expect(along).toBeLessThan(0.01 * size);
    peft.scaleLosses(0);
    const anyway = () => tf.add(loss(), tf.sum(variables[0]!)) as tf.Scalar;
    const {value: left} = tf.variableGrads(anyway, variables);
    expect(left.dataSync()[0]).toBe(tf.sum(variables[0]!).dataSync()[0]);
  });
});
