import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {type UpgradeConfig, upgrade} from '../../index.js';

const WIDTHS = {scores: 3, boxes: 4, depth: 2};
type Name = keyof typeof WIDTHS;
const CONFIG: UpgradeConfig = {
  targets: ['trunk'],
  alsoTrain: [/^(scores|boxes|depth)$/],
  adapter: {type: 'lora', rank: 2},
  seed: 1,
};

function dense(units: number, name: string, seed: number): tfl.layers.Layer {
  return tfl.layers.dense({units, name, kernelInitializer: tfl.initializers.glorotUniform({seed})});
}

/** A model of several tasks, compiled. */
function tasks(names: Name[], metrics: tfl.ModelCompileArgs['metrics'] = []): tfl.LayersModel {
  const input = tfl.input({shape: [8]});
  const trunk = dense(6, 'trunk', 1).apply(input) as tfl.SymbolicTensor;
  const outputs = names.map((name, i) => dense(WIDTHS[name], name, i + 2).apply(trunk) as tfl.SymbolicTensor);
  const model = tfl.model({inputs: input, outputs});
  model.compile({optimizer: tf.train.sgd(0), loss: 'meanSquaredError', metrics});
  return model;
}

const xs = () => tf.randomUniform([8, 8], -1, 1, 'float32', 3);
const targets = (names: Name[]) =>
  names.map((name, i) => tf.randomUniform([8, WIDTHS[name]], 2 + i, 3 + i, 'float32', i));

/** What each batch and the whole come to, by tf ops alone. */
function wanted(model: tfl.LayersModel, names: Name[]): Record<string, number> {
  const outputs = model.predict(xs()) as tf.Tensor[];
  const losses = targets(names).map((y, i) => tf.losses.meanSquaredError(y, outputs[i]!).dataSync()[0]!);
  const named = names.map((name, i) => [`${name}_loss`, losses[i]!] as const);
  return {loss: losses.reduce((sum, loss) => sum + loss, 0), ...Object.fromEntries(named)};
}

const valuesOf = (model: tfl.LayersModel, scalars: tf.Scalar | tf.Scalar[]) =>
  Object.fromEntries([scalars].flat().map((scalar, i) => [model.metricsNames[i]!, scalar.dataSync()[0]!]));

function dataset(names: Name[], batchSize: number) {
  return {
    size: 8 / batchSize,
    async iterator() {
      let row = 0;
      return {
        async next() {
          if (row === 8) return {done: true, value: null};
          const rows = <T extends tf.Tensor>(x: T) => tf.slice(x, [row], [batchSize]) as T;
          const value = {xs: rows(xs()), ys: targets(names).map(rows)};
          row += batchSize;
          return {done: false, value};
        },
      };
    },
  };
}

function expectClose(found: Record<string, unknown>, want: Record<string, number>, prefix = ''): void {
  for (const [name, value] of Object.entries(want)) {
    const got = [found[prefix + name]].flat().at(-1) as number;
    expect(Math.abs(got - value)).toBeLessThan(1e-4 * value);
  }
}

describe.each([[['scores', 'boxes']], [['scores', 'boxes', 'depth']]] satisfies [Name[]][])(
  'an upgraded model with the outputs %s',
  (names) => {
    it('evaluates to the names and values that fit reports', async () => {
      const model = tasks(names);
      await upgrade(model, CONFIG);
      const want = wanted(model, names);
      const {history} = await model.fit(xs(), targets(names), {batchSize: 8, verbose: 0});
      expectClose(history, want);
      const evaluated = model.evaluate(xs(), targets(names), {batchSize: 4});
      expect([evaluated].flat()).toHaveLength(names.length + 1);
      expectClose(valuesOf(model, evaluated), want);
      expectClose(valuesOf(model, await model.evaluateDataset(dataset(names, 4) as never, {})), want);
    });

    it('has them in validation, with fit and fitDataset, in arrays and datasets', async () => {
      const model = tasks(names);
      await upgrade(model, CONFIG);
      const want = wanted(model, names);
      const [x, y] = [xs(), targets(names)];
      const first = await model.fit(x, y, {validationData: [x, y as never], verbose: 0});
      expectClose(first.history, want, 'val_');
      for (const validationData of [dataset(names, 2), [x, y]]) {
        const args = {epochs: 1, validationData, verbose: 0};
        const {history} = await model.fitDataset(dataset(names, 4) as never, args as never);
        expectClose(history, want, 'val_');
      }
    });

    it('reports metrics under their own names', async () => {
      const model = tasks(names, ['mae', 'mse']);
      await upgrade(model, CONFIG);
      const [x, y] = [xs(), targets(names)];
      const {history} = await model.fit(x, y, {validationData: [x, y as never], verbose: 0, batchSize: 8});
      const evaluated = valuesOf(model, model.evaluate(x, y));
      expect(Object.keys(evaluated)).toHaveLength(1 + 3 * names.length);
      for (const [name, value] of Object.entries(evaluated)) {
        expectClose(history, {[name]: value});
        expectClose(history, {[name]: value}, 'val_');
      }
      expect(evaluated.boxes_mse).toBeCloseTo(evaluated.boxes_loss!, 5);
    });
  },
);

describe('evaluation', () => {
  const names: Name[] = ['scores', 'boxes'];

  it('lets early stopping watch the total, whose first part goes on falling', async () => {
    const model = tasks(names);
    await upgrade(model, CONFIG);
    model.compile({optimizer: tf.train.sgd(0.05), loss: 'meanSquaredError'});
    // The first output learns what is right for both; the second is taught the
    // opposite of what it is validated with.
    const [good, bad] = [tf.ones([8, 3]), tf.fill([8, 4], 40)];
    const {history} = await model.fit(xs(), [good, bad], {
      epochs: 12,
      verbose: 0,
      validationData: [xs(), [good, tf.fill([8, 4], -40)] as never],
      callbacks: [tfl.callbacks.earlyStopping({monitor: 'val_loss', patience: 1})],
    });
    const totals = history.val_loss as number[];
    expect(totals.length).toBeLessThan(5);
    expect(totals.at(-1)).toBeGreaterThan(totals[0]!);
  });

  it('of models that are not ours, or no longer, is as tfjs-layers has it', async () => {
    const [stock, model] = [tasks(names), tasks(names)];
    const evaluate = (each: tfl.LayersModel) =>
      [each.evaluate(xs(), targets(names))].flat().map((scalar) => scalar.dataSync()[0]!);
    const before = evaluate(stock);
    const keys = Object.keys(model);
    const peft = await upgrade(model, CONFIG);
    expect(evaluate(stock)).toEqual(before);
    expect(evaluate(model)).toHaveLength(3);
    peft.detach();
    expect(evaluate(model)).toEqual(before);
    expect(before).toHaveLength(4);
    expect(Object.keys(model).filter((key) => !keys.includes(key))).toEqual(['testFunction']);
  });

  it('leaves no tensors behind', async () => {
    const model = tasks(names, ['mae']);
    await upgrade(model, CONFIG);
    const [x, y] = [xs(), targets(names)];
    const {numTensors} = tf.memory();
    tf.dispose(model.evaluate(x, y));
    expect(tf.memory().numTensors).toBe(numTensors);
  });
});
