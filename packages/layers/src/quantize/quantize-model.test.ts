import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/wasm';
import {ConfigError, NoTargetError, packedBytes, UnsupportedSiteError} from '@tfjs-peft/kernels';
import {dequantize, type FormatConfig, formatDefinitions, quantize} from '@tfjs-peft/quant';
import {tensorDeviation} from '@tfjs-peft/testing/compare';
import {packedOf} from '../core/tfjs/packed-variable.js';
import {PeftDense, upgrade} from '../index.js';
import {exportPlain, merge} from '../merge.js';
import {dequantizeModel, type QuantizeModelOptions, quantizeModel} from '../quantize.js';
import {ADAPTERS, dense, MODELS, sequential} from '../testing/models.js';
import {normal} from '../testing/sites.js';

type FormatType = FormatConfig['type'];

const INT4: QuantizeModelOptions = {format: {type: 'int4', group: 3, symmetric: true}};

/** Inputs of a model, of two rows. */
function inputsOf(model: tf.LayersModel): tf.Tensor[] {
  return model.inputs.map(({shape}, i) => normal([2, ...(shape.slice(1) as number[])], 10 + i));
}

function predict(model: tf.LayersModel): tf.Tensor {
  return model.predict(inputsOf(model)) as tf.Tensor;
}

/** The numbers of all weights, one after the other. */
async function valuesOf(model: tf.LayersModel): Promise<Float32Array[]> {
  const values: Float32Array[] = [];
  for (const weight of model.getWeights()) values.push(Float32Array.from(await weight.data()));
  return values;
}

/** A model whose kernels are what codes stand for, in plain numbers. */
async function dequantizedTwin(make: () => tf.LayersModel, options = INT4): Promise<tf.LayersModel> {
  const twin = make();
  await quantizeModel(twin, options);
  await dequantizeModel(twin);
  return twin;
}

/** An output projection that is the transpose of an Embedding's table. */
class Tied extends tf.layers.Layer {
  static readonly className = 'Tied';

  constructor(private readonly table: tf.layers.Layer) {
    super({name: 'tied'});
  }

  override computeOutputShape([batch, length]: number[]): number[] {
    return [batch!, length!, this.table.weights[0]!.shape[0]!];
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.tidy(() => {
      const x = [inputs].flat()[0]!;
      const table = this.table.weights[0]!.read();
      const rows = tf.matMul(tf.reshape(x, [-1, x.shape[2]!]), table as tf.Tensor2D, false, true);
      return tf.reshape(rows, [-1, x.shape[1]!, table.shape[0]!]);
    });
  }
}

describe.each(['cpu', 'wasm'])('quantizeModel on %s', (backend) => {
  beforeAll(() => tf.setBackend(backend));

  describe.each(Object.keys(MODELS))('of %s', (name) => {
    const make = MODELS[name]!;

    it('computes as a model of the dequantised weights', async () => {
      const model = make();
      const before = model.getWeights().length;
      const {layers} = await quantizeModel(model, INT4);
      expect(layers.length).toBeGreaterThan(0);
      const twin = await dequantizedTwin(make);
      expect(model.getWeights().length).toBe(before);
      expect(await valuesOf(model)).toEqual(await valuesOf(twin));
      expect(tensorDeviation(predict(model), predict(twin))).toBeLessThan(1e-5);
      expect(tensorDeviation(predict(model), predict(make()))).toBeGreaterThan(1e-3);
    });

    it('leaves nothing behind, in use, when it is taken back, or when the model is disposed', async () => {
      const numTensors = tf.memory().numTensors;
      make().dispose();
      // tfjs itself forgets layers that are used twice.
      const forgotten = tf.memory().numTensors - numTensors;
      const model = make();
      const plain = tf.memory().numTensors;
      await quantizeModel(model, INT4);
      const packed = tf.memory().numTensors;
      tf.tidy(() => void predict(model));
      await valuesOf(model);
      expect(tf.memory().numTensors).toBe(packed);
      await dequantizeModel(model);
      expect(tf.memory().numTensors).toBe(plain);
      await quantizeModel(model, INT4);
      model.dispose();
      if (forgotten === 0) expect(tf.memory().numTensors).toBe(numTensors);
    });
  });

  it.each(formatDefinitions().map(({type}) => type as FormatType))(
    '%s: computes with short groups, and columns that are zero, constant or of one sign',
    async (type) => {
      const columns = [
        () => 0,
        () => 0.3,
        () => -0.2,
        (i: number) => 0.5 + i / 50,
        (i: number) => -0.5 - i / 50,
        (i: number) => Math.sin(i),
      ];
      const kernel = tf.tensor2d(Array.from({length: 7}, (_, i) => columns.map((column) => column(i))));
      const model = tf.sequential({
        layers: [dense('odd', columns.length, 1, {inputShape: [7], useBias: false})],
      });
      model.setWeights([kernel]);
      const grouped = type === 'f16' || type === 'bf16' ? {type} : {type, group: 3};
      const report = await quantizeModel(model, {format: grouped as FormatConfig});
      const [weight] = model.getWeights();
      const w = weight!.dataSync();
      // Of each unit, how far a weight can be off: half a step, or as its format says.
      const steps = {int8: 255, int4: 15, int3: 7, int2: 3};
      columns.forEach((column, j) => {
        for (let first = 0; first < 7; first += 3) {
          const unit = [0, 1, 2].map((k) => first + k).filter((i) => i < 7);
          const values = unit.map(column);
          const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
          const largest = Math.max(-low, high);
          const bound =
            type === 'nf4'
              ? 0.152 * largest
              : type === 'f16' || type === 'bf16'
                ? largest * (type === 'f16' ? 2 ** -11 : 2 ** -8)
                : (high - low) / steps[type] / 2;
          for (const i of unit) expect(Math.abs(w[i * 6 + j]! - column(i))).toBeLessThanOrEqual(bound + 1e-7);
        }
      });
      expect(report.layers[0]!.max).toBeLessThan(0.3);
      const x = normal([3, 7], 5);
      expect(tensorDeviation(model.predict(x) as tf.Tensor, tf.matMul(x, weight!))).toBeLessThan(1e-6);
    },
  );

  it('holds at most .17 of the bytes of the Dense weights, and says so', async () => {
    const model = tf.sequential({layers: [dense('wide', 256, 1, {inputShape: [512], useBias: false})]});
    const before = tf.memory().numBytes;
    const report = await quantizeModel(model, {format: {type: 'int4', group: 32}});
    const freed = before - tf.memory().numBytes;
    expect(report.bytesBefore).toBe(4 * 512 * 256);
    expect(report.bytesBefore - freed).toBe(report.bytesAfter);
    expect(report.bytesAfter / report.bytesBefore).toBeLessThanOrEqual(0.17);
  });

  it('reports bits and errors, and what was skipped and why', async () => {
    const model = MODELS.timeDistributed!();
    const report = await quantizeModel(model, {format: 'int8', targets: [/^each|head/]});
    expect(report.layers.map(({layer}) => layer)).toEqual(['each/step', 'head']);
    expect(report.skipped.find(({layer}) => layer === 'tokens')!.reason).toBe('no target matches');
    for (const {weight, shape, mse, relative, max, bits, bytesAfter} of report.layers) {
      const kernel = MODELS.timeDistributed!().weights.find(({originalName}) => originalName === weight)!;
      const values = kernel.read().dataSync<'float32'>();
      const decoded = dequantize(quantize(values, shape, 'int8'));
      const squares = values.map((w, i) => (w - decoded[i]!) ** 2);
      expect(mse).toBeCloseTo(squares.reduce((sum, e) => sum + e, 0) / values.length, 12);
      expect(relative).toBeCloseTo(
        Math.sqrt(squares.reduce((sum, e) => sum + e, 0) / values.reduce((sum, w) => sum + w * w, 0)),
        8,
      );
      expect(max).toBeCloseTo(Math.sqrt(Math.max(...squares)), 8);
      expect(bits).toBe((8 * bytesAfter) / values.length);
    }
    expect(String(report)).toMatch(/each\/step +4 x 4 +int8|each\/step +5 x 4 +int8/);
    expect(String(report)).toMatch(/Skipped 'tokens': no target matches/);
  });

  it.each(ADAPTERS.map((config) => [config.type, config] as const))(
    'carries a %s adapter that trains as on the dequantised base',
    async (_, config) => {
      const make = () =>
        tf.sequential({
          layers: [dense('first', 8, 1, {inputShape: [6], activation: 'tanh'}), dense('second', 8, 2)],
        });
      const models = [make(), await dequantizedTwin(make)];
      await quantizeModel(models[0]!, INT4);
      const x = normal([5, 6], 3);
      const y = normal([5, 8], 4);
      const gradients: tf.NamedTensorMap[] = [];
      for (const model of models) {
        const peft = await upgrade(model, {adapter: config, seed: 1, targets: ['first', 'second']});
        peft.setContext({task: tf.zeros([5], 'int32'), intuition: normal([5, 3], 8)});
        const {grads} = tf.variableGrads(
          () => tf.losses.meanSquaredError(y, model.apply(x, {training: true}) as tf.Tensor),
          peft.trainableVariables(),
        );
        gradients.push(grads);
      }
      const [packed, plain] = gradients.map((grads) => Object.values(grads));
      expect(packed!.length).toBe(plain!.length);
      expect(packed!.length).toBeGreaterThan(0);
      packed!.forEach((gradient, i) => {
        expect(tensorDeviation(gradient, plain![i]!)).toBeLessThan(1e-4);
      });
      const [model] = models;
      const before = await valuesOf(model!);
      model!.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
      await model!.fit(x, y, {epochs: 1, verbose: 0});
      const after = await valuesOf(model!);
      expect(after.slice(0, 4)).toEqual(before.slice(0, 4));
      expect(after).not.toEqual(before);
    },
  );
});

describe('a quantised model', () => {
  beforeAll(() => tf.setBackend('cpu'));

  it('is refused or repaired, but never changed by halves', async () => {
    const model = sequential();
    const refused = async (options: object, wanted: RegExp, type: new (m: string) => Error = ConfigError) => {
      const before = await valuesOf(model);
      const call = quantizeModel(model, options as QuantizeModelOptions);
      await expect(call).rejects.toThrow(wanted);
      await expect(quantizeModel(model, options as QuantizeModelOptions)).rejects.toThrow(type);
      expect(await valuesOf(model)).toEqual(before);
      expect(model.weights.some((weight) => packedOf(weight.read()))).toBe(false);
    };
    await refused({}, /format is missing/);
    await refused({format: 'int5'}, /int5/);
    await refused({format: 'int4', quantizer: 'best'}, /best/);
    await refused({format: 'int4', quantizer: 'gptq'}, /needs inputs of the model. Pass them as data/);
    await refused({format: 'int4', bits: 3}, /bits/);
    await refused({format: 'int4', targets: ['nowhere']}, /matches no layer with weights/, NoTargetError);
    const kernel = model.layers[2]!.weights[0]!;
    for (const bad of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]) {
      const values = kernel.read().dataSync().slice();
      values[4] = bad;
      kernel.write(tf.tensor(values, kernel.shape as number[]));
      await refused(
        {format: 'int4'},
        new RegExp(`'dense_100/kernel' of 'dense_100': .*\\(1, 1\\) is ${bad}`),
      );
    }
    await quantizeModel(model, {format: 'int4', targets: ['dense_1']});
    await expect(quantizeModel(model, {format: 'int8', targets: ['dense_1']})).rejects.toThrow(
      /quantised already; call dequantizeModel first/,
    );
    await expect(quantizeModel({} as never, {format: 'int8'})).rejects.toThrow(/Pass a LayersModel/);
  });

  it('refuses layers that are trained in full, and those that are no product', async () => {
    const model = MODELS.timeDistributed!();
    await upgrade(model, {adapter: {type: 'lora', rank: 1}, targets: ['tokens'], alsoTrain: ['head']});
    await expect(quantizeModel(model, {format: 'int8', targets: ['head']})).rejects.toThrow(
      /layer 'head' cannot be quantised: an adapter trains it in full/,
    );
    await expect(quantizeModel(model, {format: 'int8', targets: ['head']})).rejects.toThrow(
      UnsupportedSiteError,
    );
    const {skipped, layers} = await quantizeModel(model, {format: 'int8', targets: () => true});
    expect(layers.map(({layer}) => layer)).toEqual(['tokens', 'each/step']);
    expect(skipped.find(({layer}) => layer.endsWith('forward_lstm'))!.reason).toMatch(/no plain product/);
  });

  it('has weights that cannot be set, and the same names, order and counts', async () => {
    const model = sequential();
    const names = model.weights.map(({originalName}) => originalName);
    const parameters = model.countParams();
    await quantizeModel(model, INT4);
    expect(model.weights.map(({originalName}) => originalName)).toEqual(names);
    expect(model.countParams()).toBe(parameters);
    const lines: string[] = [];
    model.summary(undefined, undefined, (line) => lines.push(line));
    expect(lines.join('\n')).toContain(`Total params: ${parameters}`);
    const weights = model.getWeights();
    model.setWeights(weights); // Nothing changes.
    expect(() => model.layers[0]!.setWeights(weights.slice(0, 2).map((w) => tf.clone(w)))).toThrow(
      /'dense_1\/kernel' is quantised.*dequantizeModel/,
    );
    const copy = sequential();
    copy.setWeights(weights);
    expect(await valuesOf(copy)).toEqual(await valuesOf(model));
  });

  it('is compiled again, if it was to train what is quantised', async () => {
    const model = sequential();
    model.compile({optimizer: tf.train.adam(0.1), loss: 'meanSquaredError'});
    const [x, y] = [normal([4, 4], 1), normal([4, 3], 2)];
    await model.fit(x, y, {verbose: 0});
    const optimizer = model.optimizer;
    await quantizeModel(model, {...INT4, targets: ['dense_1']});
    expect(model.optimizer).not.toBe(optimizer);
    expect(model.optimizer.getConfig()).toEqual(optimizer.getConfig());
    const before = await valuesOf(model);
    await model.fit(x, y, {verbose: 0});
    const after = await valuesOf(model);
    expect(after[0]).toEqual(before[0]);
    for (const i of [1, 2, 3, 4]) expect(after[i]).not.toEqual(before[i]);
  });

  it('trains a layer in full that an adapter asks for, and has its codes back without that adapter', async () => {
    const model = sequential();
    await quantizeModel(model, INT4);
    const expected = predict(model);
    const peft = await upgrade(model, {
      adapter: {type: 'lora', rank: 1},
      targets: ['dense_1'],
      alsoTrain: ['dense_100'],
    });
    model.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
    await model.fit(normal([4, 4], 1), normal([4, 3], 2), {verbose: 0});
    expect(tensorDeviation(predict(model), expected)).toBeGreaterThan(1e-4);
    peft.detach();
    expect(predict(model).dataSync()).toEqual(expected.dataSync());
    expect(packedOf(model.layers[2]!.weights[0]!.read())).toBeDefined();
  });

  it('takes no adapter into its weights', async () => {
    const model = sequential();
    await quantizeModel(model, {...INT4, targets: ['dense_10']});
    const peft = await upgrade(model, {adapter: {type: 'lora', rank: 1}, targets: 'all-dense'});
    const before = await valuesOf(model);
    for (const attempt of [() => merge(peft), () => exportPlain(peft, 'out/nowhere')]) {
      await expect(attempt()).rejects.toThrow(UnsupportedSiteError);
      await expect(attempt()).rejects.toThrow(/'dense_10'.* is quantised.*dequantizeModel/);
    }
    expect(await valuesOf(model)).toEqual(before);
    await dequantizeModel(model);
    expect(await merge(peft)).toHaveLength(3);
  });

  it('can be one that is upgraded already', async () => {
    const model = sequential();
    const peft = await upgrade(model, {adapter: {type: 'lora', rank: 1}, targets: 'all-dense'});
    expect(model.layers[0]).toBeInstanceOf(PeftDense);
    const report = await quantizeModel(model, INT4);
    expect(report.layers.length).toBe(3);
    const twin = await dequantizedTwin(sequential);
    expect(tensorDeviation(predict(model), predict(twin))).toBeLessThan(1e-6);
    peft.disable();
    expect(tensorDeviation(predict(model), predict(twin))).toBeLessThan(1e-6);
    peft.detach();
    expect(packedBytes(packedOf(model.layers[0]!.weights[0]!.read())!)).toBe(report.layers[0]!.bytesAfter);
    expect(await dequantizeModel(model)).toEqual(['dense_1', 'dense_10', 'dense_100']);
    expect(await dequantizeModel(model)).toEqual([]);
  });

  it('looks up rows of a packed table', async () => {
    const make = () =>
      tf.sequential({
        layers: [
          tf.layers.embedding({name: 'table', inputDim: 11, outputDim: 5, inputLength: 4}),
          tf.layers.flatten(),
          dense('head', 3, 2),
        ],
      });
    const model = make();
    const targets = ['table', 'head'];
    const twin = make();
    twin.setWeights(model.getWeights());
    const report = await quantizeModel(model, {format: 'int8', targets});
    expect(report.layers.map(({layer}) => layer)).toEqual(targets);
    await quantizeModel(twin, {format: 'int8', targets});
    await dequantizeModel(twin);
    const ids = tf.tensor2d([[0, 10, 3, 3]]);
    const [got, want] = [model, twin].map((m) => m.predict(ids) as tf.Tensor);
    expect(tensorDeviation(got!, want!)).toBeLessThan(1e-6);
  });

  it('lets a layer of your own multiply by the table of another, forwards and backwards', async () => {
    const losses: number[][] = [];
    for (const packed of [true, false]) {
      const table = tf.layers.embedding({name: 'table', inputDim: 11, outputDim: 5, inputLength: 4});
      const model = tf.sequential({layers: [table, dense('middle', 5, 2), new Tied(table)]});
      table.setWeights([normal([11, 5], 3)]);
      await quantizeModel(model, {format: 'int4', targets: ['table']});
      if (!packed) await dequantizeModel(model);
      await upgrade(model, {targets: ['middle'], adapter: {type: 'lora', rank: 2}, seed: 1});
      model.compile({optimizer: tf.train.sgd(0.5), loss: 'meanSquaredError'});
      const {history} = await model.fit(tf.tensor2d([[0, 10, 3, 3]]), normal([1, 4, 11], 4), {
        ...{epochs: 3, verbose: 0},
      });
      expect(packedOf(table.weights[0]!.read()) !== undefined).toBe(packed);
      losses.push(history.loss as number[]);
    }
    losses[0]!.forEach((loss, i) => {
      expect(loss).toBeCloseTo(losses[1]![i]!, 5);
    });
    expect(losses[0]![2]).toBeLessThan(losses[0]![0]!);
  });

  it('is calibrated by gptq on what each layer sees', async () => {
    const data = normal([64, 4], 7);
    const make = () => MODELS.normalized!();
    const outputs = (m: tf.LayersModel) => m.predict(data) as tf.Tensor;
    const plain = outputs(make());
    const errorOf = async (options: QuantizeModelOptions) => {
      const model = make();
      await quantizeModel(model, options);
      return tf.losses.meanSquaredError(plain, outputs(model)).dataSync()[0]!;
    };
    const format = {type: 'int2', group: 'channel'} as const;
    const numTensors = tf.memory().numTensors;
    const nearest = await errorOf({format});
    const gptq = await errorOf({format, quantizer: 'gptq', data});
    const batches = tf.split(data, 2);
    const inBatches = await errorOf({format, quantizer: 'gptq', data: {batches}});
    expect(gptq).not.toBe(nearest);
    expect(inBatches).toBeCloseTo(gptq, 4);
    expect(numTensors).toBeGreaterThan(0);
    await expect(quantizeModel(make(), {format, quantizer: 'gptq', data: {batches: []}})).rejects.toThrow(
      /was not run/,
    );
    await expect(quantizeModel(make(), {format, quantizer: 'gptq', data: 3 as never})).rejects.toThrow(
      /data is 3/,
    );
  });
});
